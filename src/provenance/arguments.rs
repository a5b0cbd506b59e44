//! Command lines without their secrets.

/// What stands for a secret.
pub const MASK: &str = "***";

/// Names that hold one of these are names of secrets; they are compared in lower case, without `-`, `_` and `.`.
const SECRET_PARTS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "secret",
    "apikey",
    "accesskey",
    "privatekey",
    "signingkey",
    "encryptionkey",
    "authkey",
    "accesstoken",
    "apitoken",
    "authtoken",
    "refreshtoken",
    "credential",
    "authorization",
    "bearer",
    "cookie",
    "signature",
];

/// Names that are names of secrets as a whole.
const SECRET_NAMES: &[&str] = &["auth", "key", "pass", "pin", "pw", "pwd", "sig"];

/// How tokens of well-known services begin.
const TOKEN_STARTS: &[&str] = &[
    "ghp_",
    "gho_",
    "ghs_",
    "ghu_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "xoxa-",
    "sk-",
    "sk_",
    "rk_",
    "hf_",
    "AKIA",
    "ASIA",
    "AIza",
    "eyJ",
    "npm_",
    "pypi-",
    "dckr_pat_",
];

/// A command line in which [`MASK`] stands for every secret:
///
/// - the value of an option, variable, header or member whose name says that it is secret (`--password x`,
///   `--api-key=x`, `TOKEN=x`, `Authorization: x`, `{"secret": "x"}`), where it follows in the same argument or the next;
/// - what stands in front of the `@` of a URL, and what stands behind the `:` in the value of `-u` and `--user`;
/// - what looks like a key: it begins as the tokens of well-known services do, or is 32 or more hexadecimal digits, or 24
///   or more letters and digits among which capitals, small letters and digits take turns.
///
/// Names of tokenizers and numbers of tokens are none of a secret. A secret without any such sign is not seen: a plain
/// word as an argument of its own, or behind a short option such as `-p`.
///
/// ```
/// use backstory::provenance::without_secrets;
///
/// let line = ["train.py", "--lr", "0.1", "--api-key=abc", "postgres://ops:xyz@db/runs"];
/// let kept = ["train.py", "--lr", "0.1", "--api-key=***", "postgres://***@db/runs"];
/// assert_eq!(without_secrets(&line), kept);
/// ```
pub fn without_secrets<T: AsRef<str>>(arguments: &[T]) -> Vec<String> {
    let mut kept = Vec::with_capacity(arguments.len());
    let mut next_is = Next::Plain;
    for argument in arguments {
        let argument = argument.as_ref();
        let option = is_option(argument);
        match (next_is, option) {
            (Next::Secret, false) => kept.push(MASK.to_owned()),
            (Next::User, false) => kept.push(mask_user(argument)),
            _ => kept.push(mask_inside(argument)),
        }
        // Another option in between does not make the value of a secret one plain.
        if !option {
            next_is = Next::Plain;
        } else if !argument.contains(['=', ':']) {
            let name = argument.trim_start_matches('-');
            if is_secret(name) {
                next_is = Next::Secret;
            } else if next_is == Next::Plain && matches!(name, "u" | "user") {
                next_is = Next::User;
            }
        }
    }
    kept
}

/// What the next argument is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Plain,
    Secret,
    /// A name, and perhaps a password behind it.
    User,
}

/// `-x` or `--name`, and no negative number.
fn is_option(argument: &str) -> bool {
    let name = argument.trim_start_matches('-');
    name.len() < argument.len() && name.starts_with(|c: char| c.is_ascii_alphabetic())
}

/// Does the name say that its value is a secret?
fn is_secret(name: &str) -> bool {
    let plain: String = name
        .chars()
        .filter(|c| !matches!(c, '-' | '_' | '.'))
        .map(|c| c.to_ascii_lowercase())
        .collect();
    let a_token =
        plain.contains("token") && !plain.contains("tokens") && !plain.contains("tokeniz");
    a_token
        || SECRET_PARTS.iter().any(|part| plain.contains(part))
        || SECRET_NAMES.contains(&plain.as_str())
}

fn mask_user(argument: &str) -> String {
    match argument.split_once(':') {
        Some((name, _)) => format!("{name}:{MASK}"),
        None => mask_inside(argument),
    }
}

/// Masks what an argument says itself to be secret.
fn mask_inside(argument: &str) -> String {
    // `--name=value`: the value goes to the end, white space and all.
    if let Some((name, value)) = argument.split_once('=')
        && is_word(name)
        && is_secret(name)
        && !value.is_empty()
    {
        return format!("{name}={MASK}");
    }
    mask_keys(&mask_named(&mask_urls(argument)))
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_word_char)
}

fn is_word_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
}

/// `scheme://user:password@host` to `scheme://***@host`.
fn mask_urls(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (head, behind) = rest.split_at(at + 3);
        out.push_str(head);
        let end =
            behind.find(|c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '\''));
        let (authority, tail) = behind.split_at(end.unwrap_or(behind.len()));
        match authority.rsplit_once('@') {
            Some((_, host)) => {
                out.push_str(MASK);
                out.push('@');
                out.push_str(host);
            }
            None => out.push_str(authority),
        }
        rest = tail;
    }
    out + rest
}

/// `name=value`, `name: value`, `"name": "value"` anywhere in a text.
fn mask_named(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(is_word_char) {
        let (head, tail) = rest.split_at(start);
        let (word, tail) = tail.split_at(tail.find(|c| !is_word_char(c)).unwrap_or(tail.len()));
        out.push_str(head);
        out.push_str(word);
        rest = tail;
        if is_secret(word)
            && let Some((sign, value, behind)) = value_behind(tail)
        {
            out.push_str(sign);
            out.push_str(if value.is_empty() { "" } else { MASK });
            rest = behind;
        }
    }
    out + rest
}

/// Behind a name: what stands in front of its value, the value, and what follows.
fn value_behind(text: &str) -> Option<(&str, &str, &str)> {
    let sign = text.trim_start_matches(['"', '\'']).trim_start();
    let value = sign.strip_prefix(['=', ':'])?;
    let colon = sign.starts_with(':');
    let open = value.trim_start();
    let (inner, end) = match open.chars().next() {
        Some(quote @ ('"' | '\'')) => {
            let inner = &open[1..];
            (inner, inner.find(quote))
        }
        // A header, or a line of YAML: to its end.
        _ if colon => (open, open.find(['\n', '"', '\''])),
        _ => {
            let stops =
                |c: char| c.is_whitespace() || matches!(c, '&' | ';' | ',' | '"' | '\'' | ')');
            (open, open.find(stops))
        }
    };
    let sign = &text[..text.len() - inner.len()];
    let (value, behind) = inner.split_at(end.unwrap_or(inner.len()));
    Some((sign, value, behind))
}

/// Masks what looks like a key.
fn mask_keys(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    let in_key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '+');
    while let Some(start) = rest.find(in_key) {
        let (head, tail) = rest.split_at(start);
        let (word, tail) = tail.split_at(tail.find(|c| !in_key(c)).unwrap_or(tail.len()));
        out.push_str(head);
        out.push_str(if looks_like_key(word) { MASK } else { word });
        rest = tail;
    }
    out + rest
}

fn looks_like_key(word: &str) -> bool {
    let word = word.trim_start_matches('-');
    if word.len() >= 16 && TOKEN_STARTS.iter().any(|start| word.starts_with(start)) {
        return true;
    }
    let digits = word.bytes().filter(u8::is_ascii_hexdigit).count();
    if digits >= 32 && word.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-') {
        return true;
    }
    let has = |class: fn(&u8) -> bool| word.bytes().any(|b| class(&b));
    let turns = word.as_bytes().windows(2).filter(|pair| {
        pair.iter().all(u8::is_ascii_alphanumeric)
            && pair[0].is_ascii_digit() != pair[1].is_ascii_digit()
    });
    word.len() >= 24
        && has(u8::is_ascii_uppercase)
        && has(u8::is_ascii_lowercase)
        && has(u8::is_ascii_digit)
        && turns.count() >= 4
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(line: &[&str]) -> Vec<String> {
        without_secrets(line)
    }

    #[test]
    fn secrets_are_masked() {
        for (line, expected) in [
            (
                &["--password", "hunter two"][..],
                &["--password", "***"][..],
            ),
            (&["--password=hunter two"], &["--password=***"]),
            (
                &["--db-passwd=x", "--pin", "1234"],
                &["--db-passwd=***", "--pin", "***"],
            ),
            (
                &["--hf-token", "x", "a.json"],
                &["--hf-token", "***", "a.json"],
            ),
            (
                &["--secret", "--verbose", "x"],
                &["--secret", "--verbose", "***"],
            ),
            (
                &["env", "API_KEY=abc", "train"],
                &["env", "API_KEY=***", "train"],
            ),
            (
                &["-H", "Authorization: Bearer abc def"],
                &["-H", "Authorization: ***"],
            ),
            (
                &["https://ops:pw@db.example/x?y=1"],
                &["https://***@db.example/x?y=1"],
            ),
            (
                &["--url=https://tok@db.example"],
                &["--url=https://***@db.example"],
            ),
            (
                &["https://x.example/?a=1&token=abc&b=2"],
                &["https://x.example/?a=1&token=***&b=2"],
            ),
            (
                &[r#"{"lr": 0.1, "password": "a b", "n": 2}"#],
                &[r#"{"lr": 0.1, "password": "***", "n": 2}"#],
            ),
            (
                &["connect(password='a b', n=2)"],
                &["connect(password='***', n=2)"],
            ),
            (&["-u", "ops:pw"], &["-u", "ops:***"]),
            (&["ghp_0123456789abcdef"], &["***"]),
            (&["run=eyJhbGciOiJIUzI1NiJ9.e30.abc"], &["run=***.e30.abc"]),
            (&["0123456789abcdef0123456789abcdef"], &["***"]),
            (&["3f1c2a4e-9d2b-4c1a-8f00-1234567890ab"], &["***"]),
            (&["k9X2b7QpL0zR4mN8vT1cW6yH"], &["***"]),
        ] {
            assert_eq!(kept(line), expected, "{line:?}");
        }
    }

    #[test]
    fn what_is_no_secret_stays() {
        for line in [
            &["train.py", "--lr", "0.1", "--epochs=20", "-v"][..],
            &[
                "--max-tokens",
                "512",
                "--tokenizer=gpt2",
                "--max_new_tokens=3",
            ],
            &["--out", "results/ResNet50_ImageNet_Pretrained_v2.json"],
            &[
                "--offset",
                "-5",
                "--keys",
                "a,b",
                "--monkey=1",
                "--author",
                "ops",
            ],
            &["https://data.example/a@b?page=2", "ops@host:runs/1.json"],
            &["--password=", "--user", "ops", "", "ключ=значение"],
        ] {
            assert_eq!(kept(line), line, "{line:?}");
        }
    }

    #[test]
    fn every_text_can_be_looked_at() {
        for text in [
            "password:",
            "token=\"",
            "token='é",
            "://",
            "a://@",
            "secret=é&x",
            "token: \"é",
        ] {
            kept(&[text, "--token", text]);
        }
    }
}
