//! A URL as the kernel's `de-purl:html` reads it, and what of it is asked of a server (`spec/drivers.md` section 7).
//!
//! vere has the kernel parse the text and puts the request together from the parts, so escapes are sent as what they stand for, a host
//! is in lower case, and what the kernel's parser refuses cannot be asked for: a fragment, a user, `_` in a host, IPv6, `?a=b=c`.
//! So it is here, but for bytes that would break the request's line: a space and control characters are sent escaped.

use std::net::Ipv4Addr;

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Url {
    /// Whether it is `https`.
    pub(super) is_secure: bool,
    pub(super) host: Host,
    /// The port, if one is named.
    pub(super) port: Option<u16>,
    /// The path and the query, as they stand in the request's line.
    pub(super) target: Vec<u8>,
}

/// Whom a request goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Host {
    Name(String),
    Address(Ipv4Addr),
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Host::Name(name) => f.write_str(name),
            Host::Address(address) => address.fmt(f),
        }
    }
}

impl Url {
    /// Reads a URL; None for what the kernel refuses.
    pub(super) fn parse(text: &[u8]) -> Option<Url> {
        let end = text.windows(3).position(|part| part == b"://")?;
        let (scheme, rest) = text.split_at(end);
        let is_secure = match scheme.to_ascii_lowercase().as_slice() {
            b"http" => false,
            b"https" => true,
            _ => return None,
        };
        let rest = rest.get(3..)?;
        let (authority, rest) = cut(rest, |byte| matches!(byte, b'/' | b'?'));
        let (host, port) = match authority.iter().position(|byte| *byte == b':') {
            None => (authority, None),
            Some(at) => (authority.get(..at)?, Some(port(authority.get(at + 1..)?)?)),
        };
        let host = name(host)
            .map(Host::Name)
            .or_else(|| address(host).map(Host::Address))?;
        let (path, query) = match rest.iter().position(|byte| *byte == b'?') {
            None => (rest, None),
            Some(at) => (rest.get(..at)?, Some(rest.get(at + 1..)?)),
        };
        let mut target = escaped_path(path)?;
        push_query(query.unwrap_or_default(), &mut target)?;
        Some(Url {
            is_secure,
            host,
            port,
            target,
        })
    }

    /// The port that is asked: 0 stands for the scheme's own, as in vere.
    pub(super) fn port(&self) -> u16 {
        let own = if self.is_secure { 443 } else { 80 };
        self.port.filter(|port| *port != 0).unwrap_or(own)
    }

    /// The `Host` header.
    pub(super) fn authority(&self) -> String {
        match self.port {
            None => self.host.to_string(),
            Some(port) => format!("{}:{port}", self.host),
        }
    }
}

/// Up to the first byte of that kind, and from there.
fn cut(text: &[u8], is_end: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| is_end(*byte)).unwrap_or(text.len());
    text.split_at(end)
}

/// A decimal number without leading zeros, of which vere takes the low 16 bits.
fn port(digits: &[u8]) -> Option<u16> {
    if digits.is_empty() || (digits.len() > 1 && digits.starts_with(b"0")) {
        return None;
    }
    digits.iter().try_fold(0_u16, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u16::from(digit - b'0'))?;
        Some(number.wrapping_mul(10).wrapping_add(digit))
    })
}

/// A name: labels of letters, digits and, between them, hyphens; the last begins with a letter.
fn name(host: &[u8]) -> Option<String> {
    let is_label = |label: &[u8]| {
        let is_char = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
        label.first().is_some_and(u8::is_ascii_alphanumeric)
            && label.last().is_some_and(u8::is_ascii_alphanumeric)
            && label.iter().all(is_char)
    };
    let mut labels = host.split(|byte| *byte == b'.');
    let last = host.rsplit(|byte| *byte == b'.').next()?;
    let is_name = labels.all(is_label) && last.first().is_some_and(u8::is_ascii_alphabetic);
    is_name.then(|| String::from_utf8_lossy(host).to_lowercase())
}

/// Four numbers of at most three digits, without leading zeros; those above 255 carry over, as in the kernel.
fn address(host: &[u8]) -> Option<Ipv4Addr> {
    let numbers = host.split(|byte| *byte == b'.').map(|digits| {
        let number = port(digits)?;
        (digits.len() <= 3).then_some(u32::from(number))
    });
    let numbers = numbers.collect::<Option<Vec<u32>>>()?;
    let sum = |sum: u32, number: &u32| sum.wrapping_mul(256).wrapping_add(*number);
    (numbers.len() == 4).then(|| Ipv4Addr::from(numbers.iter().fold(0, sum)))
}

/// The path: its segments, the last of which may have an extension.
fn escaped_path(path: &[u8]) -> Option<Vec<u8>> {
    let mut target = vec![b'/'];
    let Some(path) = path.strip_prefix(b"/") else {
        return path.is_empty().then_some(target);
    };
    let is_char = |byte: u8| is_pure(byte) || b"$&+,;=:@".contains(&byte);
    let segments = path.split(|byte| *byte == b'/');
    let mut segments = segments
        .map(|segment| unescape(segment, is_char, |byte| byte))
        .collect::<Option<Vec<_>>>()?;
    let extension = segments.last_mut().and_then(take_extension);
    // A name that is nothing but an extension has no segment of its own, and loses its slash.
    if extension.is_some() && segments.last().is_some_and(Vec::is_empty) {
        segments.pop();
    }
    for (index, segment) in segments.iter().enumerate() {
        if index > 0 {
            target.push(b'/');
        }
        push(segment, &mut target);
    }
    if let Some(extension) = extension {
        target.push(b'.');
        push(&extension, &mut target);
    }
    Some(target)
}

/// Takes the extension from a file's name: digits and small letters behind the last dot.
fn take_extension(name: &mut Vec<u8>) -> Option<Vec<u8>> {
    let dot = name.iter().rposition(|byte| !byte.is_ascii_alphanumeric())?;
    let extension = name.get(dot + 1..)?;
    if name.get(dot) != Some(&b'.') || extension.iter().any(u8::is_ascii_uppercase) {
        return None;
    }
    let extension = extension.to_vec();
    name.truncate(dot);
    Some(extension)
}

/// The query's pairs of key and value. What the kernel cannot read to its end it refuses.
fn push_query(query: &[u8], target: &mut Vec<u8>) -> Option<()> {
    if query.is_empty() {
        return Some(());
    }
    let is_char = |byte: u8| is_pure(byte) || b"+/?:,".contains(&byte);
    let unplus = |byte| if byte == b'+' { b' ' } else { byte };
    for (index, pair) in query.split(|byte| matches!(byte, b'&' | b';')).enumerate() {
        let (key, value) = cut(pair, |byte| byte == b'=');
        let key = unescape(key, is_char, unplus).filter(|key| !key.is_empty())?;
        let value = unescape(value.strip_prefix(b"=").unwrap_or_default(), is_char, unplus)?;
        target.push(if index == 0 { b'?' } else { b'&' });
        push(&key, target);
        target.push(b'=');
        push(&value, target);
    }
    Some(())
}

fn is_pure(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte)
}

/// What a text with escapes stands for; None where it has other characters.
fn unescape(text: &[u8], is_char: impl Fn(u8) -> bool, read: impl Fn(u8) -> u8) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text.iter().copied();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let mut digit = || char::from(rest.next()?).to_digit(16);
            let value = digit()? * 16 + digit()?;
            plain.push(u8::try_from(value).ok()?);
        } else if is_char(byte) {
            plain.push(read(byte));
        } else {
            return None;
        }
    }
    // An atom has no zeros at its end.
    while plain.last() == Some(&0) {
        plain.pop();
    }
    Some(plain)
}

/// Text for a request's line. vere sends it all as it is, so that a space ends the line's target and a newline the line.
fn push(text: &[u8], target: &mut Vec<u8>) {
    for byte in text {
        match byte {
            0..=b' ' | 0x7f => target.extend(format!("%{byte:02X}").as_bytes()),
            _ => target.push(*byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<String> {
        Url::parse(text.as_bytes()).map(|url| {
            let scheme = if url.is_secure { "https" } else { "http" };
            let target = String::from_utf8_lossy(&url.target).into_owned();
            format!("{scheme} {} {} {target}", url.authority(), url.port())
        })
    }

    #[test]
    fn urls_are_read_as_the_kernel_does() {
        let cases = [
            ("http://localhost", "http localhost 80 /"),
            ("HTTPS://Example.COM/", "https example.com 443 /"),
            ("http://a.b-c.d:8080/x/y", "http a.b-c.d:8080 8080 /x/y"),
            ("http://127.0.0.1:80/", "http 127.0.0.1:80 80 /"),
            ("http://h:0/", "http h:0 80 /"),
            ("http://h:65617/", "http h:81 81 /"),
            ("http://1.2.3.256/", "http 1.2.4.0 80 /"),
            ("http://h//a//", "http h 80 //a//"),
            ("http://h/a.b/c.html", "http h 80 /a.b/c.html"),
            ("http://h/c.HTML", "http h 80 /c.HTML"),
            ("http://h/a/.html", "http h 80 /a.html"),
            ("http://h/.html", "http h 80 /.html"),
            ("http://h/a.", "http h 80 /a."),
            ("http://h/!$&'()*+,;=:@-._~", "http h 80 /!$&'()*+,;=:@-._~"),
            ("http://h/a%20b?z=%26&y", "http h 80 /a%20b?z=&&y="),
            ("http://h/%c3%BC%2f", "http h 80 /ü/"),
            ("http://h?q=1", "http h 80 /?q=1"),
            ("http://h/?", "http h 80 /"),
            ("http://h/?a=1;b=x+y&c", "http h 80 /?a=1&b=x%20y&c="),
            ("http://h/?a=/?:,", "http h 80 /?a=/?:,"),
            ("http://h/a%0d%0aX:%20y", "http h 80 /a%0D%0AX:%20y"),
            ("http://h/a%00b%00", "http h 80 /a%00b"),
        ];
        for (text, expected) in cases {
            assert_eq!(parsed(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_the_kernel_refuses_is_refused() {
        for text in [
            "",
            "localhost",
            "ftp://h/",
            "http:/h/",
            "http:///x",
            "http://h/#part",
            "http://a_b/",
            "http://-a/",
            "http://a-/",
            "http://a..b/",
            "http://a.1b/",
            "http://user@h/",
            "http://[::1]/",
            "http://h:/",
            "http://h:080/",
            "http://h:x/",
            "http://1.2.3/",
            "http://1.2.3.04/",
            "http://1.2.3.4567/",
            "http://h/a b",
            "http://h/ü",
            "http://h/%",
            "http://h/%4",
            "http://h/%4g",
            "http://h/a|b",
            "http://h/?a=b=c",
            "http://h/?=a",
            "http://h/?a&&b",
            "http://h/?a&",
            "http://h/?a=@",
            "http://h/?a=$",
        ] {
            assert_eq!(parsed(text), None, "{text}");
        }
    }
}
