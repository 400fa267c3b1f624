//! The HTTP server that the sample libraries `httpd` of v1 and v2 share. It uses neither Lua nor DSS.

mod server;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING};

pub use hyper::header;
pub use hyper::http::request::Parts;
pub use server::Server;
pub use tokio::task::spawn_blocking;

/// A response to a client.
pub type Response = hyper::Response<Full<Bytes>>;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// A response with a text.
///
/// # Panics
/// `status` is not a valid status.
#[must_use]
pub fn plain(status: u16, text: &'static str) -> Response {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status.try_into().expect("the callers know it as one");
    response.headers_mut().insert(CONTENT_TYPE, TEXT);
    response
}

/// Whether a status completes a request. Lower ones announce another response.
#[must_use]
pub fn is_answer(status: u16) -> bool {
    (200..=599).contains(&status)
}

/// The value of a request header. Several lines are joined into one, as HTTP allows.
#[must_use]
pub fn header_of(parts: &Parts, name: &HeaderName) -> Vec<u8> {
    let lines: Vec<&[u8]> = parts.headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
    lines.join(&b", "[..])
}

/// Headers: the names, and the lines of each.
pub type Headers = Vec<(Vec<u8>, Vec<Vec<u8>>)>;

/// Sets a response's body and headers. The server itself sets the length of the body.
///
/// # Errors
/// A name or a line is invalid in HTTP.
pub fn fill(response: &mut Response, headers: Headers, body: Vec<u8>) -> Result<(), Invalid> {
    let all: &mut HeaderMap = response.headers_mut();
    for (name, lines) in headers {
        let told = || String::from_utf8_lossy(&name).into_owned();
        let header = HeaderName::from_bytes(&name).map_err(|_| Invalid::Name(told()))?;
        all.remove(&header);
        for line in lines {
            let line =
                HeaderValue::from_maybe_shared(Bytes::from(line)).map_err(|_| Invalid::Line(told()))?;
            all.append(&header, line);
        }
    }
    all.remove(CONTENT_LENGTH);
    all.remove(TRANSFER_ENCODING);
    *response.body_mut() = Full::from(body);
    Ok(())
}

/// The part of a response that is invalid in HTTP.
#[derive(Debug)]
pub enum Invalid {
    /// A header's name.
    Name(String),
    /// A line of the header with that name.
    Line(String),
}
