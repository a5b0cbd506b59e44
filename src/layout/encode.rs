//! The bytes of a layout. See `docs/layout.md` for the table.

use super::LayoutError;
use super::collate::Collation;
use super::spec::{
    Escapes, Exception, Flat, Floats, Gap, KINDS, MAX_DECIMALS, MAX_PLAIN_EXPONENT, MAX_UNIT, Spec,
    Spelling, Style, What,
};
use crate::wire::{Bytes, Malformed, put_bytes, put_ivar, put_uvar};

/// Version of the encoding: the first byte.
const VERSION: u8 = 1;

/// Ends a name; none contains it, because strings have no raw control characters.
const NAME_END: u8 = 0;

/// Most digits an exponent can be padded to.
const MAX_EXPONENT_DIGITS: u8 = 4;

pub(super) fn encode(spec: &Spec) -> Vec<u8> {
    let mut out = vec![VERSION];
    for text in [
        &spec.before,
        &spec.after,
        &spec.unit,
        &spec.colon[0],
        &spec.colon[1],
    ] {
        put_bytes(&mut out, text);
    }
    for style in spec.styles.iter().flatten() {
        style
            .gaps()
            .into_iter()
            .for_each(|gap| put_gap(&mut out, gap));
    }
    spec.empty.iter().for_each(|gap| put_gap(&mut out, gap));
    out.extend(spec.flat.map(|flat| flat as u8));
    put_uvar(
        &mut out,
        spec.flat_from.map_or(0, |from| u64::from(from) + 1),
    );
    put_escapes(&mut out, &spec.escapes);
    put_floats(&mut out, &spec.floats);
    out.push(spec.root_decimals);
    put_uvar(&mut out, spec.names.len() as u64);
    for name in &spec.names {
        out.extend_from_slice(name);
        out.push(NAME_END);
    }
    put_ids(&mut out, &spec.precedence);
    out.push(spec.collation as u8);
    put_uvar(&mut out, spec.orders.len() as u64);
    spec.orders
        .iter()
        .for_each(|order| put_ids(&mut out, order));
    put_uvar(&mut out, spec.decimals.len() as u64);
    let mut next = 0;
    for &(name, decimals) in &spec.decimals {
        put_step(&mut out, &mut next, name);
        out.push(decimals);
    }
    put_uvar(&mut out, spec.flips.len() as u64);
    next = 0;
    for &name in &spec.flips {
        put_step(&mut out, &mut next, name);
    }
    put_uvar(&mut out, spec.exceptions.len() as u64);
    let mut former = 0;
    for exception in &spec.exceptions {
        put_uvar(&mut out, u64::from(exception.token.wrapping_sub(former)));
        former = exception.token;
        out.push(exception.what.kind());
        match &exception.what {
            What::Flip => {}
            What::Order(order) => put_ids(&mut out, order),
            _ => put_bytes(&mut out, exception.what.text()),
        }
    }
    out
}

fn put_gap(out: &mut Vec<u8>, gap: &Gap) {
    put_uvar(out, (gap.text.len() as u64) << 1 | u64::from(gap.indented));
    out.extend_from_slice(&gap.text);
}

fn put_escapes(out: &mut Vec<u8>, escapes: &Escapes) {
    out.push(u8::from(escapes.upper));
    put_uvar(out, escapes.ascii.len() as u64);
    for &(c, spelling) in &escapes.ascii {
        out.extend_from_slice(&[c, spelling as u8]);
    }
    put_uvar(out, escapes.ranges.len() as u64);
    let mut next = 0;
    for &(first, last) in &escapes.ranges {
        put_step(out, &mut next, first);
        put_step(out, &mut next, last + 1);
    }
}

fn put_floats(out: &mut Vec<u8>, floats: &Floats) {
    put_ivar(out, i64::from(floats.low));
    put_ivar(out, i64::from(floats.high));
    let flags = u8::from(floats.upper) | u8::from(floats.plus) << 1 | u8::from(floats.point) << 2;
    out.extend_from_slice(&[flags, floats.digits]);
}

/// Numbers of any order, each as the difference to the one before and 1.
fn put_ids(out: &mut Vec<u8>, ids: &[u32]) {
    put_uvar(out, ids.len() as u64);
    let mut next = 0i64;
    for &id in ids {
        put_ivar(out, i64::from(id) - next);
        next = i64::from(id) + 1;
    }
}

/// A number of an ascending list, as the difference to the one before and 1.
fn put_step(out: &mut Vec<u8>, next: &mut u32, value: u32) {
    put_uvar(out, u64::from(value.wrapping_sub(*next)));
    *next = value.wrapping_add(1);
}

pub(super) fn decode(bytes: &[u8]) -> Result<Spec, LayoutError> {
    match bytes.first() {
        Some(&VERSION) => {}
        Some(&version) => return Err(LayoutError::Version(version)),
        None => return Err(LayoutError::Malformed("empty")),
    }
    let mut input = Bytes::new(bytes);
    let spec = read(&mut input).map_err(|Malformed(what)| LayoutError::Malformed(what))?;
    // One layout, one encoding: whatever the fields leave open ends here.
    if encode(&spec) != bytes {
        return Err(LayoutError::Malformed("not in normal form"));
    }
    Ok(spec)
}

fn read(input: &mut Bytes) -> Result<Spec, Malformed> {
    input.u8()?;
    let mut spec = Spec {
        before: space(input)?,
        after: space(input)?,
        unit: space(input)?,
        colon: [space(input)?, space(input)?],
        ..Spec::default()
    };
    if spec.unit.len() > MAX_UNIT {
        return Err(Malformed("unit of indentation too long"));
    }
    for style in spec.styles.iter_mut().flatten() {
        *style = Style {
            open: gap(input)?,
            before_comma: gap(input)?,
            after_comma: gap(input)?,
            close: gap(input)?,
        };
    }
    spec.empty = [gap(input)?, gap(input)?];
    spec.flat = [flat(input)?, flat(input)?];
    spec.flat_from = match input.uvar()? {
        0 => None,
        from => Some(u32::try_from(from - 1).map_err(|_| Malformed("depth too large"))?),
    };
    spec.escapes = escapes(input)?;
    spec.floats = floats(input)?;
    spec.root_decimals = decimals(input)?;
    for _ in 0..count(input)? {
        let end = memchr::memchr(NAME_END, input.rest()).ok_or(Malformed("name without end"))?;
        spec.names.push(input.take(end)?.to_vec());
        input.take(1)?;
    }
    let names = spec.names.len();
    spec.precedence = distinct(ids(input, names)?)?;
    spec.collation = match input.u8()? {
        0 => Collation::Canonical,
        1 => Collation::Integers,
        2 => Collation::Root,
        3 => Collation::Folded,
        _ => return Err(Malformed("unknown collation")),
    };
    for _ in 0..count(input)? {
        spec.orders.push(distinct(ids(input, names)?)?);
    }
    let mut next = 0;
    for _ in 0..count(input)? {
        let name = step(input, &mut next, names)?;
        spec.decimals.push((name, decimals(input)?));
    }
    next = 0;
    for _ in 0..count(input)? {
        spec.flips.push(step(input, &mut next, names)?);
    }
    exceptions(input, &mut spec.exceptions)?;
    if !input.rest().is_empty() {
        return Err(Malformed("bytes behind the end"));
    }
    Ok(spec)
}

/// A count of things that take a byte each at least.
fn count(input: &mut Bytes) -> Result<usize, Malformed> {
    let count = usize::try_from(input.uvar()?).map_err(|_| Malformed("count too large"))?;
    if count > input.rest().len() {
        return Err(Malformed("count beyond the end"));
    }
    Ok(count)
}

fn white(text: &[u8]) -> Result<Vec<u8>, Malformed> {
    if text
        .iter()
        .all(|b| matches!(b, b' ' | b'\n' | b'\r' | b'\t'))
    {
        Ok(text.to_vec())
    } else {
        Err(Malformed("white space expected"))
    }
}

fn space(input: &mut Bytes) -> Result<Vec<u8>, Malformed> {
    white(input.bytes()?)
}

fn gap(input: &mut Bytes) -> Result<Gap, Malformed> {
    let head = input.uvar()?;
    let length = usize::try_from(head >> 1).map_err(|_| Malformed("length too large"))?;
    Ok(Gap {
        text: white(input.take(length)?)?,
        indented: head & 1 == 1,
    })
}

fn flat(input: &mut Bytes) -> Result<Flat, Malformed> {
    Ok(match input.u8()? {
        0 => Flat::None,
        1 => Flat::Leaves,
        2 => Flat::Numbers,
        3 => Flat::All,
        _ => return Err(Malformed("unknown kind of flat containers")),
    })
}

fn escapes(input: &mut Bytes) -> Result<Escapes, Malformed> {
    let mut escapes = Escapes {
        upper: flags(input, 1)? == 1,
        ..Escapes::default()
    };
    for _ in 0..count(input)? {
        let [c, spelling] = input.array()?;
        let spelling = match spelling {
            1 => Spelling::Unicode,
            2 if c == b'/' => Spelling::Backslash,
            _ => return Err(Malformed("unknown spelling")),
        };
        if c >= 0x80 || escapes.ascii.last().is_some_and(|&(last, _)| last >= c) {
            return Err(Malformed("escaped characters out of order"));
        }
        escapes.ascii.push((c, spelling));
    }
    let mut next = 0;
    for _ in 0..count(input)? {
        let first = step(input, &mut next, 0x11_0000)?;
        let end = step(input, &mut next, 0x11_0001)?;
        if first < 0x80 {
            return Err(Malformed("escaped range too low"));
        }
        escapes.ranges.push((first, end - 1));
    }
    Ok(escapes)
}

fn floats(input: &mut Bytes) -> Result<Floats, Malformed> {
    let exponent = |value: i64| match i16::try_from(value) {
        Ok(value) if value.unsigned_abs() <= MAX_PLAIN_EXPONENT => Ok(value),
        _ => Err(Malformed("exponent too large")),
    };
    let low = exponent(input.ivar()?)?;
    let high = exponent(input.ivar()?)?;
    let flags = flags(input, 7)?;
    let digits = input.u8()?;
    if !(1..=MAX_EXPONENT_DIGITS).contains(&digits) {
        return Err(Malformed("digits of an exponent out of range"));
    }
    Ok(Floats {
        low,
        high,
        upper: flags & 1 != 0,
        plus: flags & 2 != 0,
        point: flags & 4 != 0,
        digits,
    })
}

fn flags(input: &mut Bytes, all: u8) -> Result<u8, Malformed> {
    match input.u8()? {
        flags if flags <= all => Ok(flags),
        _ => Err(Malformed("unknown flags")),
    }
}

fn decimals(input: &mut Bytes) -> Result<u8, Malformed> {
    match input.u8()? {
        decimals if decimals <= MAX_DECIMALS => Ok(decimals),
        _ => Err(Malformed("too many decimals")),
    }
}

/// A list as [`put_ids`] writes it, of numbers below `limit`.
fn ids(input: &mut Bytes, limit: usize) -> Result<Vec<u32>, Malformed> {
    let mut next = 0i64;
    let mut ids = Vec::new();
    for _ in 0..count(input)? {
        let id = next
            .checked_add(input.ivar()?)
            .and_then(|id| u32::try_from(id).ok());
        match id {
            Some(id) if (id as usize) < limit => ids.push(id),
            _ => return Err(Malformed("index out of range")),
        }
        next = i64::from(ids.last().copied().unwrap_or(0)) + 1;
    }
    Ok(ids)
}

fn distinct(ids: Vec<u32>) -> Result<Vec<u32>, Malformed> {
    let mut sorted = ids.clone();
    sorted.sort_unstable();
    if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(Malformed("name repeated in an order"));
    }
    Ok(ids)
}

/// A number as [`put_step`] writes it, below `limit`.
fn step(input: &mut Bytes, next: &mut u32, limit: usize) -> Result<u32, Malformed> {
    let value = u64::from(*next).checked_add(input.uvar()?);
    match value.and_then(|value| u32::try_from(value).ok()) {
        Some(value) if (value as usize) < limit => {
            *next = value + 1;
            Ok(value)
        }
        _ => Err(Malformed("index out of range")),
    }
}

fn exceptions(input: &mut Bytes, exceptions: &mut Vec<Exception>) -> Result<(), Malformed> {
    let mut token = 0u32;
    let mut former = None;
    for _ in 0..count(input)? {
        let step = u32::try_from(input.uvar()?).ok();
        token = step
            .and_then(|step| token.checked_add(step))
            .ok_or(Malformed("token out of range"))?;
        let kind = input.u8()?;
        if former.is_some_and(|former| former >= (token, kind)) || kind >= KINDS {
            return Err(Malformed("exceptions out of order"));
        }
        former = Some((token, kind));
        let what = match kind {
            0 => What::Text(input.bytes()?.to_vec()),
            1 => What::Order(permutation(input)?),
            2 => What::Flip,
            3 => What::Before(space(input)?),
            4 => What::Comma(space(input)?),
            5 => What::ColonBefore(space(input)?),
            6 => What::ColonAfter(space(input)?),
            _ => What::Close(space(input)?),
        };
        exceptions.push(Exception { token, what });
    }
    Ok(())
}

fn permutation(input: &mut Bytes) -> Result<Vec<u32>, Malformed> {
    let length = input.clone().uvar()?;
    let order = ids(input, usize::try_from(length).unwrap_or(usize::MAX))?;
    let mut seen = vec![false; order.len()];
    for &position in &order {
        match seen.get_mut(position as usize) {
            Some(seen) if !*seen => *seen = true,
            _ => return Err(Malformed("not a permutation")),
        }
    }
    Ok(order)
}
