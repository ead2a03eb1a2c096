//! Tanks, the kernel's pretty-printable trees, as lines of text.
//!
//! A tank is `[%leaf tape]`, `[%palm [mid cap open close] tanks]`, `[%rose [mid open close] tanks]`, or a cord. On one
//! line if it fits, else its parts below one another, indented by two.

use serf_ipc::Noun;

/// How deep a tank is followed; deeper ones are cut.
const DEPTH: usize = 64;
/// How much text one tank may make, in bytes.
const TEXT: usize = 64 << 10;

/// The lines of `tank`, at most `width` columns where it can be broken. What is no tank is one line of `?`.
#[must_use]
pub fn lines(tank: &Noun, width: usize) -> Vec<String> {
    let mut out = Vec::new();
    let mut room = TEXT;
    wash(tank, width, 0, 0, &mut out, &mut room);
    out
}

fn wash(tank: &Noun, width: usize, indent: usize, depth: usize, out: &mut Vec<String>, room: &mut usize) {
    let line = flat(tank, depth, *room);
    let parts = if depth < DEPTH { branches(tank) } else { None };
    match parts {
        Some((open, close, tanks)) if indent + line.chars().count() > width && !tanks.is_empty() => {
            if !open.is_empty() {
                push(out, indent, &open, room);
            }
            for part in &tanks {
                wash(part, width, indent + 2, depth + 1, out, room);
            }
            if !close.is_empty() {
                push(out, indent, &close, room);
            }
        }
        _ => push(out, indent, &line, room),
    }
}

fn push(out: &mut Vec<String>, indent: usize, text: &str, room: &mut usize) {
    if *room < text.len() + indent {
        *room = 0;
        return;
    }
    *room -= text.len() + indent;
    out.push(format!("{:indent$}{text}", ""));
}

/// The whole tank on one line, cut where it grows past `room`.
fn flat(tank: &Noun, depth: usize, room: usize) -> String {
    if depth >= DEPTH {
        return "...".to_owned();
    }
    if tank.is_atom() {
        return tank.as_cord().unwrap_or_else(|| "?".to_owned());
    }
    let leaf = tank
        .as_cell()
        .filter(|(tag, _)| tag.is_cord("leaf"))
        .and_then(|(_, text)| tape(text, room));
    if let Some(text) = leaf {
        return text;
    }
    let Some((kind, style, tanks)) = styled(tank) else {
        return "?".to_owned();
    };
    let (mid, open, close) = match (kind, style.as_slice()) {
        ("palm", [mid, cap, open, close]) => (mid.clone(), format!("{cap}{open}"), close.clone()),
        ("rose", [mid, open, close]) => (mid.clone(), open.clone(), close.clone()),
        _ => return "?".to_owned(),
    };
    let mut line = open;
    for (index, part) in tanks.iter().enumerate() {
        if line.len() > room {
            break;
        }
        if index > 0 {
            line.push_str(&mid);
        }
        line.push_str(&flat(part, depth + 1, room));
    }
    line.push_str(&close);
    line
}

fn branches(tank: &Noun) -> Option<(String, String, Vec<Noun>)> {
    let (kind, style, tanks) = styled(tank)?;
    match (kind, style.as_slice()) {
        ("palm", [_, cap, open, close]) => Some((format!("{cap}{open}"), close.clone(), tanks)),
        ("rose", [_, open, close]) => Some((open.clone(), close.clone(), tanks)),
        _ => None,
    }
}

/// The kind, its strings and its parts, of a palm or a rose.
fn styled(tank: &Noun) -> Option<(&'static str, Vec<String>, Vec<Noun>)> {
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
            texts.push(tape(style, TEXT)?);
        } else {
            let (text, more) = style.as_cell()?;
            texts.push(tape(text, TEXT)?);
            style = more;
        }
    }
    let tanks = tanks
        .iter_list()
        .map(|part| part.ok().cloned())
        .collect::<Option<Vec<_>>>()?;
    Some((kind, texts, tanks))
}

/// A tape (a list of characters, or of UTF-8 bytes) as text.
fn tape(noun: &Noun, room: usize) -> Option<String> {
    let mut bytes = Vec::new();
    for item in noun.iter_list() {
        let code = item.ok()?.as_u64()?;
        match u8::try_from(code) {
            Ok(byte) => bytes.push(byte),
            Err(_) => bytes.extend(char::from_u32(u32::try_from(code).ok()?)?.to_string().bytes()),
        }
        if bytes.len() > room {
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
}
