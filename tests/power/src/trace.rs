//! What `strace` recorded: calls with their arguments, each with the moments at which it began and ended.
//!
//! A line is a whole call, or its beginning (`<unfinished ...>`), or the end of one (`<... write resumed>`); strings are
//! hexadecimal (`-xx`), descriptors bare numbers.

use anyhow::{Context, bail, ensure};
use std::collections::HashMap;

/// An argument of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arg {
    /// A number.
    Number(i64),
    /// A string, as its bytes.
    Bytes(Vec<u8>),
    /// Anything else, as it was written: flags, structures.
    Other(String),
}

/// A system call that was recorded.
#[derive(Clone, Debug)]
pub struct Call {
    /// Its name.
    pub name: String,
    /// Its arguments.
    pub args: Vec<Arg>,
    /// What it returned; None when the process ended first.
    pub result: Option<i64>,
}

impl Call {
    /// The argument of this place as a number.
    ///
    /// # Errors
    /// When it is none.
    pub fn number(&self, nth: usize) -> anyhow::Result<i64> {
        match self.args.get(nth) {
            Some(Arg::Number(number)) => Ok(*number),
            other => bail!("{}: argument {nth} is no number: {other:?}", self.name),
        }
    }

    /// The argument of this place as a string's bytes.
    ///
    /// # Errors
    /// When it is none.
    pub fn bytes(&self, nth: usize) -> anyhow::Result<&[u8]> {
        match self.args.get(nth) {
            Some(Arg::Bytes(bytes)) => Ok(bytes),
            other => bail!("{}: argument {nth} is no string: {other:?}", self.name),
        }
    }

    /// Whether one of the `|`-separated words of the argument of this place is `flag`.
    #[must_use]
    pub fn has_flag(&self, nth: usize, flag: &str) -> bool {
        matches!(self.args.get(nth), Some(Arg::Other(text)) if text.split('|').any(|word| word == flag))
    }
}

/// A moment of a recorded run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The call of this place began.
    Begin(usize),
    /// The call of this place ended.
    End(usize),
}

/// A recorded run.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// Its calls.
    pub calls: Vec<Call>,
    /// When they began and ended, in order.
    pub moments: Vec<Moment>,
}

impl Trace {
    /// Reads what `strace -f -xx` wrote.
    ///
    /// # Errors
    /// When a line is not understood.
    pub fn parse(text: &str) -> anyhow::Result<Trace> {
        let mut trace = Trace::default();
        // By thread: the call that it has begun, and what was written of it.
        let mut unfinished: HashMap<&str, (usize, &str)> = HashMap::new();
        for line in text.lines() {
            let about = || format!("a line of the recording: {:.200}", line);
            let (thread, rest) = line.split_once(' ').with_context(about)?;
            let rest = rest.trim_start();
            if rest.starts_with("---") || rest.starts_with("+++") {
                continue;
            }
            if let Some(resumed) = rest.strip_prefix("<... ") {
                let (_, tail) = resumed.split_once("resumed>").with_context(about)?;
                let (nth, head) = unfinished.remove(thread).with_context(about)?;
                trace.calls[nth] = parse_call(&format!("{head}{tail}")).with_context(about)?;
                trace.moments.push(Moment::End(nth));
                continue;
            }
            let nth = trace.calls.len();
            trace.moments.push(Moment::Begin(nth));
            if let Some(head) = rest.strip_suffix("<unfinished ...>") {
                unfinished.insert(thread, (nth, head.trim_end()));
                // What the thread's end cut off stays as it is begun.
                let (name, _) = head.split_once('(').with_context(about)?;
                trace.calls.push(Call {
                    name: name.to_owned(),
                    args: Vec::new(),
                    result: None,
                });
            } else {
                trace.calls.push(parse_call(rest).with_context(about)?);
                trace.moments.push(Moment::End(nth));
            }
        }
        Ok(trace)
    }
}

/// Reads `name(arguments) = result`.
fn parse_call(text: &str) -> anyhow::Result<Call> {
    let (name, mut rest) = text.split_once('(').context("no arguments")?;
    let mut args = Vec::new();
    loop {
        rest = rest.trim_start();
        if let Some(tail) = rest.strip_prefix(')') {
            rest = tail;
            break;
        }
        let (arg, tail) = parse_arg(rest)?;
        args.push(arg);
        rest = tail.strip_prefix(',').unwrap_or(tail);
    }
    let result = rest
        .trim_start()
        .strip_prefix('=')
        .context("no result")?
        .trim_start();
    let word = result.split(' ').next().unwrap_or_default();
    let result = match word {
        "?" => None,
        _ => Some(number(word).with_context(|| format!("the result {word}"))?),
    };
    Ok(Call {
        name: name.to_owned(),
        args,
        result,
    })
}

fn number(word: &str) -> Option<i64> {
    match word.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok().map(u64::cast_signed),
        None => word.parse().ok(),
    }
}

/// Reads one argument; returns what follows it.
fn parse_arg(text: &str) -> anyhow::Result<(Arg, &str)> {
    if let Some(quoted) = text.strip_prefix('"') {
        let (hex, tail) = quoted.split_once('"').context("a string without an end")?;
        ensure!(!tail.starts_with("..."), "a string was cut short");
        return Ok((Arg::Bytes(unhex(hex)?), tail));
    }
    // Up to the comma or bracket that belongs to no bracket of its own.
    let mut depth = 0;
    let end = text
        .char_indices()
        .find(|(_, c)| match c {
            '(' | '[' | '{' => {
                depth += 1;
                false
            }
            ')' | ']' | '}' if depth > 0 => {
                depth -= 1;
                false
            }
            ',' | ')' => depth == 0,
            _ => false,
        })
        .map_or(text.len(), |(at, _)| at);
    ensure!(end > 0 && end < text.len(), "an argument without an end");
    let (word, tail) = text.split_at(end);
    let arg = match word {
        "AT_FDCWD" => Arg::Number(CWD),
        _ => number(word).map_or_else(|| Arg::Other(word.to_owned()), Arg::Number),
    };
    Ok((arg, tail))
}

/// `AT_FDCWD`: the directory that a program stands in.
pub(crate) const CWD: i64 = -100;

/// The bytes of strace's hexadecimal: `\x68\x69`.
pub(crate) fn unhex(text: &str) -> anyhow::Result<Vec<u8>> {
    /// Megabytes of zeros are written before a log is used; they are looked at so many at a time.
    const ZEROS: usize = 4096;
    let zeros = "\\x00".repeat(ZEROS);
    let digit = |c: u8| (c as char).to_digit(16).map(|d| d as u8);
    let mut bytes = Vec::with_capacity(text.len() / 4);
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        if rest.starts_with(zeros.as_bytes()) {
            bytes.resize(bytes.len() + ZEROS, 0);
            rest = &rest[zeros.len()..];
            continue;
        }
        let [b'\\', b'x', high, low, tail @ ..] = rest else {
            bail!("a string that is not hexadecimal");
        };
        let (high, low) = digit(*high).zip(digit(*low)).context("no hexadecimal digit")?;
        bytes.push(high << 4 | low);
        rest = tail;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_calls() {
        let text = r#"7 openat(AT_FDCWD, "\x2f\x61", O_RDWR|O_CREAT|O_CLOEXEC, 0600) = 3
7 write(3, "\x68\x69" <unfinished ...>
8 fsync(4)      = -1 EIO (Input/output error)
7 <... write resumed>, 2) = 2
8 writev(3, [{iov_base="\x61", iov_len=1}, {iov_base="\x62\x63", iov_len=2}], 2) = 3
7 --- SIGCHLD {si_signo=SIGCHLD} ---
7 pwrite64(3, "\x68", 1, 16 <unfinished ...>
7 +++ killed by SIGKILL +++
"#;
        let trace = Trace::parse(text).unwrap();
        assert_eq!(trace.calls.len(), 5);
        let open = &trace.calls[0];
        assert_eq!((open.bytes(1).unwrap(), open.result), (&b"/a"[..], Some(3)));
        assert!(open.has_flag(2, "O_CREAT") && !open.has_flag(2, "O_TRUNC"));
        assert_eq!(trace.calls[1].bytes(1).unwrap(), b"hi");
        assert_eq!(trace.calls[2].result, Some(-1));
        assert_eq!(trace.calls[4].result, None);
        use Moment::{Begin, End};
        let moments = [
            Begin(0),
            End(0),
            Begin(1),
            Begin(2),
            End(2),
            End(1),
            Begin(3),
            End(3),
            Begin(4),
        ];
        assert_eq!(trace.moments, moments);
    }

    #[test]
    fn what_is_cut_short_is_an_error() {
        Trace::parse(r#"7 write(3, "\x68"..., 200) = 200"#).unwrap_err();
        Trace::parse("7 write(3").unwrap_err();
        Trace::parse("7 <... write resumed>) = 1").unwrap_err();
    }
}
