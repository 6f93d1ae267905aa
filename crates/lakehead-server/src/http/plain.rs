//! The plainest request there is, recognised without ceremony: `POST`, HTTP/1.1, a `Content-Length`, no transfer or content
//! encoding, no expectation, no web page behind it. Producers send millions of these; everything else is hyper's.
//!
//! **Invariant:** what is recognised here means the same to every HTTP/1.1 implementation (RFC 9112): one length, one host, no
//! repeated or conflicting framing headers, no line folding. In any doubt the answer is `Other`, and hyper reads the same bytes.

/// Heads with more header lines than this are hyper's.
const HEADERS_MAX: usize = 32;

/// A recognised head. All texts lie in the bytes that were read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PlainHead<'b> {
    pub(crate) path: &'b str,
    pub(crate) host: &'b str,
    pub(crate) authorization: Option<&'b [u8]>,
    pub(crate) content_type: &'b str,
    pub(crate) idempotency_key: Option<&'b [u8]>,
    pub(crate) content_length: usize,
    /// Bytes of the head, the empty line included.
    pub(crate) head_bytes: usize,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Recognised<'b> {
    /// The head has not arrived whole.
    Partial,
    Plain(PlainHead<'b>),
    /// Not plain, or not HTTP.
    Other,
}

pub(crate) fn recognise(bytes: &[u8]) -> Recognised<'_> {
    // Cheap and decisive: most of what is not plain has another method.
    let begin = &bytes[..bytes.len().min(6)];
    if !b"POST /".starts_with(begin) {
        return Recognised::Other;
    }
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let head_bytes = match request.parse(bytes) {
        Ok(httparse::Status::Complete(n)) => n,
        Ok(httparse::Status::Partial) => return Recognised::Partial,
        Err(_) => return Recognised::Other,
    };
    plain(&request, head_bytes).map_or(Recognised::Other, Recognised::Plain)
}

fn plain<'b>(request: &httparse::Request<'_, 'b>, head_bytes: usize) -> Option<PlainHead<'b>> {
    let (mut host, mut length, mut authorization, mut content_type) = (None, None, None, None);
    let mut idempotency_key = None;
    for header in request.headers.iter() {
        let name = header.name.as_bytes();
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => {
                once(&mut host, std::str::from_utf8(header.value).ok()?)?
            }
            6 if name.eq_ignore_ascii_case(b"expect") || name.eq_ignore_ascii_case(b"origin") => return None,
            7 if name.eq_ignore_ascii_case(b"upgrade") || name.eq_ignore_ascii_case(b"trailer") => {
                return None;
            }
            10 if name.eq_ignore_ascii_case(b"connection") => {
                header.value.eq_ignore_ascii_case(b"keep-alive").then_some(())?;
            }
            12 if name.eq_ignore_ascii_case(b"content-type") => {
                once(&mut content_type, std::str::from_utf8(header.value).ok()?)?;
            }
            13 if name.eq_ignore_ascii_case(b"authorization") => once(&mut authorization, header.value)?,
            14 if name.eq_ignore_ascii_case(b"content-length") => once(&mut length, digits(header.value)?)?,
            15 if name.eq_ignore_ascii_case(b"idempotency-key") => once(&mut idempotency_key, header.value)?,
            16 if name.eq_ignore_ascii_case(b"content-encoding") => return None,
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => return None,
            _ => {}
        }
    }
    let path = request.path?;
    (request.version == Some(1) && request.method == Some("POST") && !path.contains(['?', '#', '%']))
        .then_some(())?;
    Some(PlainHead {
        path,
        host: host?,
        authorization,
        content_type: content_type.unwrap_or_default(),
        idempotency_key,
        content_length: length?,
        head_bytes,
    })
}

/// A header that may come once.
fn once<T>(slot: &mut Option<T>, value: T) -> Option<()> {
    slot.replace(value).is_none().then_some(())
}

/// 1 to 9 decimal digits.
fn digits(value: &[u8]) -> Option<usize> {
    let plain = (1..=9).contains(&value.len()) && value.iter().all(u8::is_ascii_digit);
    plain.then(|| value.iter().fold(0, |n, digit| n * 10 + usize::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(lines: &str) -> Vec<u8> {
        format!("POST /ingest/x HTTP/1.1\r\nHost: h\r\n{lines}\r\n").into_bytes()
    }

    #[test]
    fn the_plain_request_is_recognised_with_all_it_says() {
        let bytes = head(
            "Content-Length: 12\r\nauthorization: Bearer t\r\nContent-Type: a/b; c\r\nIDEMPOTENCY-KEY: k 1\r\n",
        );
        let expected = PlainHead {
            path: "/ingest/x",
            host: "h",
            authorization: Some(b"Bearer t"),
            content_type: "a/b; c",
            idempotency_key: Some(b"k 1"),
            content_length: 12,
            head_bytes: bytes.len(),
        };
        assert_eq!(recognise(&bytes), Recognised::Plain(expected));
        for cut in 0..bytes.len() {
            assert_eq!(recognise(&bytes[..cut]), Recognised::Partial, "cut at {cut}");
        }
    }

    #[test]
    fn whatever_could_be_read_in_two_ways_is_left_to_hyper() {
        for lines in [
            "",
            "Content-Length: 1\r\nContent-Length: 1\r\n",
            "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
            "Content-Length: +1\r\n",
            "Content-Length: 1, 1\r\n",
            "Content-Length: 0x1\r\n",
            "Content-Length: 9999999999\r\n",
            "Content-Length: \r\n",
            "Content-Length: 1\r\nHost: other\r\n",
            "Content-Length: 1\r\nExpect: 100-continue\r\n",
            "Content-Length: 1\r\nOrigin: https://a.example\r\n",
            "Content-Length: 1\r\nConnection: close\r\n",
            "Content-Length: 1\r\nConnection: upgrade\r\nUpgrade: h2c\r\n",
            "Content-Length: 1\r\nContent-Encoding: gzip\r\n",
            "Content-Length: 1\r\nAuthorization: a\r\nAuthorization: b\r\n",
            "Content-Length: 1\r\nIdempotency-Key: a\r\nIdempotency-Key: a\r\n",
            "Content-Length: 1\r\n folded: x\r\n",
            "Content-Length : 1\r\n",
        ] {
            assert_eq!(recognise(&head(lines)), Recognised::Other, "{lines:?}");
        }
        for start in [
            "GET /ingest/x HTTP/1.1\r\n",
            "POST /ingest/x HTTP/1.0\r\n",
            "POST /ingest/x?a=b HTTP/1.1\r\n",
            "POST http://h/ingest/x HTTP/1.1\r\n",
            "POST /ingest/%78 HTTP/1.1\r\n",
            "PRI * HTTP/2.0\r\n",
        ] {
            let bytes = format!("{start}Host: h\r\nContent-Length: 1\r\n\r\n");
            assert_eq!(recognise(bytes.as_bytes()), Recognised::Other, "{start:?}");
        }
    }
}
