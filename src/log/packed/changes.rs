//! Changes as columns: numbers apart, hashes apart, and what is left as text.

use super::Spot;
use super::numbers::{numbers, put_numbers};
use crate::commit::{Change, Content, LayoutAt, Op, SourceForm};
use crate::id::{ObjectId, PathKey};
use crate::log::record::StoredChange;
use crate::wire::{Bytes, Malformed, checked_number, put_bytes, put_uvar};

/// A change of a packed segment, and where its objects stand, where this change is what brought them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PackedChange {
    /// The lengths in it are 1 for an object that this change brought, else 0.
    pub stored: StoredChange,
    pub document: Option<Spot>,
    /// Of the source, or of the layout.
    pub second: Option<Spot>,
}

impl PackedChange {
    /// Where the objects stand that this change brought, in order.
    pub fn spots(&self) -> impl Iterator<Item = Spot> + '_ {
        [self.document, self.second].into_iter().flatten()
    }
}

/// The changes of a block while they are written.
#[derive(Default)]
pub(super) struct ChangeColumns {
    ops: Vec<u64>,
    flags: Vec<u64>,
    versions: Vec<u64>,
    /// How many commits back the layout is, where there is one; 0 where the change brings it.
    backs: Vec<u64>,
    /// The number of the change that brought it, where another one did.
    layouts: Vec<u64>,
    /// Of each object that a change names: 0, or 1 more than its number in its block.
    numbers: Vec<u64>,
    /// How far in front of this record the blocks of those stand.
    distances: Vec<u64>,
    hashes: Vec<u8>,
}

impl ChangeColumns {
    /// Adds a change of commit `seq`; what is text goes to `text`. The block will stand at `offset`.
    pub fn add(&mut self, packed: &PackedChange, seq: u64, offset: u64, text: &mut Vec<u8>) {
        let change = &packed.stored.change;
        self.ops.push(change.op.to_byte().into());
        self.flags.push(change.flags().into());
        self.versions.push(change.version);
        match change.key {
            Some(key) => self.hashes.extend_from_slice(&key.0),
            None => put_bytes(text, change.path.as_bytes()),
        }
        if let Some(content) = &change.content {
            self.hashes.extend_from_slice(&content.object.0);
            self.spot(packed.document, offset);
            match content.source {
                SourceForm::Object(id) => {
                    self.hashes.extend_from_slice(&id.0);
                    self.spot(packed.second, offset);
                }
                SourceForm::LaidOut { check, layout } => {
                    self.hashes.extend_from_slice(&check);
                    match change.layout {
                        Some(id) => {
                            self.backs.push(0);
                            self.hashes.extend_from_slice(&id.0);
                            self.spot(packed.second, offset);
                        }
                        None => {
                            self.backs.push(seq.wrapping_sub(layout.seq));
                            self.layouts.push(layout.change);
                        }
                    }
                }
                SourceForm::None | SourceForm::Canonical | SourceForm::Pretty => {}
            }
        }
        if change.has_reference() {
            put_uvar(text, change.of);
            put_bytes(text, change.other.as_bytes());
        }
    }

    fn spot(&mut self, spot: Option<Spot>, offset: u64) {
        match spot {
            None => self.numbers.push(0),
            Some(spot) => {
                self.numbers.push(u64::from(spot.number) + 1);
                self.distances.push(offset.saturating_sub(spot.block));
            }
        }
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        for column in [
            &self.ops,
            &self.flags,
            &self.versions,
            &self.backs,
            &self.layouts,
            &self.numbers,
            &self.distances,
        ] {
            put_numbers(out, column);
        }
        out.extend_from_slice(&self.hashes);
    }
}

/// Reads the changes of a block: `owners` has the commit of each, and its number there. What is text comes from
/// `text`, from which `front` takes what stands in front of a change there.
pub(super) fn decode_changes(
    input: &mut Bytes<'_>,
    text: &mut Bytes<'_>,
    offset: u64,
    owners: &[(u64, u64)],
    mut front: impl FnMut(usize, &mut Bytes<'_>) -> Result<(), Malformed>,
) -> Result<Vec<PackedChange>, Malformed> {
    let count = owners.len();
    let ops = ops(numbers(input, count)?)?;
    let flags = numbers(input, count)?
        .into_iter()
        .map(|flags| u8::try_from(flags).map_err(|_| Malformed("unknown change flags")))
        .collect::<Result<Vec<u8>, _>>()?;
    let versions = numbers(input, count)?;
    let laid_out = flags
        .iter()
        .filter(|flags| Change::laid_out(**flags))
        .count();
    let backs = numbers(input, laid_out)?;
    let layouts = numbers(input, backs.iter().filter(|back| **back > 0).count())?;
    let named = flags
        .iter()
        .map(|flags| Change::named_objects(*flags))
        .sum::<usize>();
    // A layout that is referred to is no object that the change names.
    let named = named
        .checked_sub(layouts.len())
        .ok_or(Malformed("too few objects"))?;
    let spots = numbers(input, named)?;
    let distances = numbers(input, spots.iter().filter(|spot| **spot > 0).count())?;
    let (mut backs, mut layouts) = (backs.into_iter(), layouts.into_iter());
    let (mut spots, mut distances) = (spots.into_iter(), distances.into_iter());
    let short = Malformed("ends too early");
    let mut spot = || -> Result<Option<Spot>, Malformed> {
        let Some(number) = spots.next().ok_or(short)?.checked_sub(1) else {
            return Ok(None);
        };
        let distance = distances.next().ok_or(short)?;
        let misplaced = Malformed("an object outside its segment");
        Ok(Some(Spot {
            block: offset
                .checked_sub(distance)
                .filter(|_| distance > 0)
                .ok_or(misplaced)?,
            number: u32::try_from(number).map_err(|_| misplaced)?,
        }))
    };
    let mut changes = Vec::with_capacity(count);
    for (at, (seq, number)) in owners.iter().enumerate() {
        front(at, text)?;
        let (op, flags) = (ops[at], flags[at]);
        let mut change = Change::of_flags(op, flags, checked_number(versions[at])?)?;
        match Change::by_key(flags) {
            true => change.key = Some(PathKey(input.array()?)),
            false => change.path = text.text()?,
        }
        let (mut document, mut second) = (None, None);
        if Change::has_content(flags) {
            let object = ObjectId(input.array()?);
            document = spot()?;
            let source = match flags & Change::FORM {
                0 => SourceForm::None,
                1 => SourceForm::Canonical,
                2 => SourceForm::Pretty,
                3 => {
                    second = spot()?;
                    SourceForm::Object(ObjectId(input.array()?))
                }
                _ => {
                    let check = input.array()?;
                    let layout = match backs.next().ok_or(short)? {
                        0 => {
                            second = spot()?;
                            change.layout = Some(ObjectId(input.array()?));
                            LayoutAt {
                                seq: *seq,
                                change: *number,
                            }
                        }
                        back => LayoutAt {
                            seq: seq
                                .checked_sub(back)
                                .filter(|seq| *seq > 0)
                                .ok_or(Malformed("a layout in front of the first commit"))?,
                            change: layouts.next().ok_or(short)?,
                        },
                    };
                    SourceForm::LaidOut { check, layout }
                }
            };
            change.content = Some(Content {
                object,
                source,
                nan: Change::has_nan(flags),
            });
        }
        if change.has_reference() {
            change.of = text.counted()?;
            change.other = text.text()?;
        }
        change.check_names()?;
        changes.push(PackedChange {
            stored: StoredChange {
                change,
                object_len: document.is_some().into(),
                source_len: second.is_some().into(),
            },
            document,
            second,
        });
    }
    Ok(changes)
}

fn ops(numbers: Vec<u64>) -> Result<Vec<Op>, Malformed> {
    let op = |number| Op::from_byte(u8::try_from(number).ok()?);
    numbers
        .into_iter()
        .map(|number| op(number).ok_or(Malformed("unknown operation")))
        .collect()
}
