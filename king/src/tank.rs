//! Tanks, the kernel's pretty-printable trees, as lines of text.
//!
//! A tank is `[%leaf tape]`, `[%palm [mid cap open close] tanks]`, `[%rose [mid open close] tanks]`, or a cord. On one
//! line if it fits, else its parts below one another, indented by two.

use serf_ipc::Noun;

/// How deep a tank is followed; deeper ones are cut.
const DEPTH: usize = 64;
/// How much text one tank may make, in bytes.
const TEXT: usize = 64 << 10;
/// How many parts and characters are looked at for one tank, each as often as it is measured. A few cells can share so much
/// that they stand for more than anybody could print.
const STEPS: usize = 1 << 20;

/// What one tank may still cost.
struct Budget {
    /// Bytes of text.
    room: usize,
    /// Parts and characters to look at.
    steps: usize,
}

impl Budget {
    fn is_spent(&self) -> bool {
        self.room == 0 || self.steps == 0
    }

    /// Counts one part or character; false when there have been too many.
    fn step(&mut self) -> bool {
        self.steps = self.steps.saturating_sub(1);
        self.steps > 0
    }
}

/// The lines of `tank`, at most `width` columns where it can be broken. What is no tank is one line of `?`.
#[must_use]
pub fn lines(tank: &Noun, width: usize) -> Vec<String> {
    let mut out = Vec::new();
    let mut budget = Budget {
        room: TEXT,
        steps: STEPS,
    };
    wash(tank, width, 0, 0, &mut out, &mut budget);
    out
}

fn wash(tank: &Noun, width: usize, indent: usize, depth: usize, out: &mut Vec<String>, budget: &mut Budget) {
    let line = flat(tank, depth, budget);
    let parts = if depth < DEPTH {
        branches(tank, budget)
    } else {
        None
    };
    match parts {
        Some((open, close, tanks)) if indent + line.chars().count() > width && !tanks.is_empty() => {
            if !open.is_empty() {
                push(out, indent, &open, budget);
            }
            for part in &tanks {
                if budget.is_spent() {
                    return;
                }
                wash(part, width, indent + 2, depth + 1, out, budget);
            }
            if !close.is_empty() {
                push(out, indent, &close, budget);
            }
        }
        _ => push(out, indent, &line, budget),
    }
}

fn push(out: &mut Vec<String>, indent: usize, text: &str, budget: &mut Budget) {
    let bytes = text.len() + indent;
    if budget.room < bytes {
        budget.room = 0;
        return;
    }
    budget.room -= bytes;
    out.push(format!("{:indent$}{text}", ""));
}

/// The whole tank on one line, cut where it grows past what there is room for.
fn flat(tank: &Noun, depth: usize, budget: &mut Budget) -> String {
    if depth >= DEPTH || !budget.step() {
        return "...".to_owned();
    }
    if tank.is_atom() {
        return tank.as_cord().unwrap_or_else(|| "?".to_owned());
    }
    let leaf = tank
        .as_cell()
        .filter(|(tag, _)| tag.is_cord("leaf"))
        .and_then(|(_, text)| tape(text, budget));
    if let Some(text) = leaf {
        return text;
    }
    let Some((mid, open, close, tanks)) = parts(tank, budget) else {
        return "?".to_owned();
    };
    let mut line = open;
    for (index, part) in tanks.iter().enumerate() {
        if line.len() > budget.room || budget.is_spent() {
            break;
        }
        if index > 0 {
            line.push_str(&mid);
        }
        line.push_str(&flat(part, depth + 1, budget));
    }
    line.push_str(&close);
    line
}

fn branches(tank: &Noun, budget: &mut Budget) -> Option<(String, String, Vec<Noun>)> {
    parts(tank, budget).map(|(_, open, close, tanks)| (open, close, tanks))
}

/// What stands between, before and after the parts of a palm or a rose, and the parts.
fn parts(tank: &Noun, budget: &mut Budget) -> Option<(String, String, String, Vec<Noun>)> {
    let (kind, style, tanks) = styled(tank, budget)?;
    match (kind, style.as_slice()) {
        ("palm", [mid, cap, open, close]) => {
            Some((mid.clone(), format!("{cap}{open}"), close.clone(), tanks))
        }
        ("rose", [mid, open, close]) => Some((mid.clone(), open.clone(), close.clone(), tanks)),
        _ => None,
    }
}

/// The kind, its strings and its parts, of a palm or a rose.
fn styled(tank: &Noun, budget: &mut Budget) -> Option<(&'static str, Vec<String>, Vec<Noun>)> {
    let (tag, rest) = tank.as_cell()?;
    let (kind, strings) = if tag.is_cord("palm") {
        ("palm", 4)
    } else if tag.is_cord("rose") {
        ("rose", 3)
    } else {
        return None;
    };
    let (mut style, tanks) = rest.as_cell()?;
    let mut texts = Vec::with_capacity(strings);
    for index in 0..strings {
        if index + 1 == strings {
            texts.push(tape(style, budget)?);
        } else {
            let (text, more) = style.as_cell()?;
            texts.push(tape(text, budget)?);
            style = more;
        }
    }
    let tanks = tanks
        .iter_list()
        .take_while(|_| budget.step())
        .map(|part| part.ok().cloned())
        .collect::<Option<Vec<_>>>()?;
    Some((kind, texts, tanks))
}

/// A tape (a list of characters, or of UTF-8 bytes) as text, cut where it grows past what there is room for.
fn tape(noun: &Noun, budget: &mut Budget) -> Option<String> {
    let mut bytes = Vec::new();
    for item in noun.iter_list() {
        let code = item.ok()?.as_u64()?;
        match u8::try_from(code) {
            Ok(byte) => bytes.push(byte),
            Err(_) => bytes.extend(char::from_u32(u32::try_from(code).ok()?)?.to_string().bytes()),
        }
        if bytes.len() > budget.room || !budget.step() {
            break;
        }
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serf_ipc::n;

    fn text(text: &str) -> Noun {
        Noun::list(text.bytes().map(|byte| Noun::atom(u64::from(byte))))
    }

    fn rose(parts: Vec<Noun>) -> Noun {
        n!["rose", n![text(" "), text("["), text("]")], Noun::list(parts)]
    }

    #[test]
    fn leaves_and_cords_are_lines() {
        assert_eq!(lines(&n!["leaf", text("hello")], 80), ["hello"]);
        assert_eq!(lines(&Noun::cord("hello"), 80), ["hello"]);
    }

    #[test]
    fn a_rose_is_flat_where_it_fits_and_broken_where_not() {
        let leaf = |t: &str| n!["leaf", text(t)];
        let tank = rose(vec![leaf("one"), rose(vec![leaf("two"), leaf("three")])]);
        assert_eq!(lines(&tank, 80), ["[one [two three]]"]);
        assert_eq!(lines(&tank, 13), ["[", "  one", "  [two three]", "]"]);
    }

    #[test]
    fn what_is_no_tank_is_not_followed() {
        assert_eq!(lines(&n![1u64, 2u64], 80), ["?"]);
        let mut deep = n!["leaf", text("x")];
        for _ in 0..10_000 {
            deep = rose(vec![deep]);
        }
        assert!(!lines(&deep, 80).is_empty());
    }

    /// A few cells that stand for more tanks than anybody could print.
    #[test]
    fn a_tank_that_shares_without_end_is_printed_in_no_time() {
        for leaf in ["", "x"] {
            let mut tank = n!["leaf", text(leaf)];
            for _ in 0..60 {
                tank = n![
                    "rose",
                    n![text(leaf), text(leaf), text(leaf)],
                    tank.clone(),
                    tank,
                    0u64
                ];
            }
            let lines = lines(&tank, 20);
            assert!(lines.iter().map(String::len).sum::<usize>() <= TEXT);
        }
    }
}
