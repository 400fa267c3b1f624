//! Requests as Lua sees them, and responses as it says them.

use std::collections::BTreeMap;

use dss_abi_v2::{Bytes, FromValue, FromValues, IntoValue, Value, ValueError};
use http_body_util::Full;
use hyper::header::{
    CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, TRANSFER_ENCODING,
};
use hyper::http::request::Parts;

/// What goes to a client.
pub(crate) type Response = hyper::Response<Full<hyper::body::Bytes>>;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// A response of the server's own.
pub(crate) fn plain(status: u16, text: &'static str) -> Response {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status.try_into().expect("every status in this crate is one");
    response.headers_mut().insert(CONTENT_TYPE, TEXT);
    response
}

/// The response that asks the client to come again.
pub(crate) fn busy(text: &'static str) -> Response {
    let mut response = plain(503, text);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// A request that was read: the table that the handler gets.
#[derive(IntoValue)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    query: Option<String>,
    headers: BTreeMap<String, Bytes>,
    body: Bytes,
}

impl Asked {
    pub(crate) fn new(parts: &Parts, body: Vec<u8>) -> Asked {
        let header = |name: &HeaderName| {
            // One line each, as the client might have written them itself.
            let lines: Vec<&[u8]> = parts.headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
            (name.as_str().to_owned(), Bytes(lines.join(&b", "[..])))
        };
        Asked {
            method: parts.method.as_str().to_owned(),
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().map(str::to_owned),
            headers: parts.headers.keys().map(header).collect(),
            body: Bytes(body),
        }
    }
}

/// What Lua replied: `status [, headers] [, body]`, a body, or one table.
pub(crate) struct Reply(pub(crate) Response);

#[derive(FromValue)]
struct Parted {
    status: Option<u16>,
    headers: Option<Value>,
    body: Option<Bytes>,
}

impl FromValues for Reply {
    fn from_values(values: Vec<Value>) -> Result<Reply, ValueError> {
        let mut values = values.into_iter();
        let mut next = || values.next().unwrap_or(Value::Nil);
        let body = |value| Option::from_value(value).map_err(|error| error.inside("the body"));
        let parted = match next() {
            reply @ (Value::Map(_) | Value::List(_)) => Parted::from_value(reply)?,
            text @ Value::Bytes(_) => Parted { status: None, headers: None, body: body(text)? },
            status @ (Value::Integer(_) | Value::Float(_)) => {
                let status = Some(u16::from_value(status).map_err(|error| error.inside("the status"))?);
                match next() {
                    text @ Value::Bytes(_) => Parted { status, headers: None, body: body(text)? },
                    headers => Parted { status, headers: Some(headers), body: body(next())? },
                }
            }
            other => return Err(other.unlike("a status, a body or a table")),
        };
        let status = parted.status.unwrap_or(200);
        // Lower ones are not an answer yet.
        if !(200..=599).contains(&status) {
            return Err(ValueError::new("a status from 200 to 599", status.to_string()));
        }
        let mut response = plain(status, "");
        if let Some(headers) = parted.headers {
            read_headers(headers, response.headers_mut()).map_err(|error| error.inside("the headers"))?;
        }
        *response.body_mut() = Full::from(parted.body.unwrap_or_default().0);
        Ok(Reply(response))
    }
}

/// The lines of one header.
struct Lines(Vec<Bytes>);

impl FromValue for Lines {
    fn from_value(value: Value) -> Result<Lines, ValueError> {
        match value {
            line @ Value::Bytes(_) => Ok(Lines(vec![Bytes::from_value(line)?])),
            lines @ Value::List(_) => Vec::from_value(lines).map(Lines),
            other => Err(other.unlike("a string or a list of strings")),
        }
    }
}

/// Adds what a table of headers says. How long the body is, the server says.
fn read_headers(table: Value, headers: &mut HeaderMap) -> Result<(), ValueError> {
    let table = Option::<BTreeMap<String, Lines>>::from_value(table)?.unwrap_or_default();
    for (name, Lines(lines)) in table {
        let wrong = |what: &'static str| ValueError::new(what, format!("'{name}'"));
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong("names that HTTP allows"))?;
        headers.remove(&name);
        for line in lines {
            let line = HeaderValue::from_bytes(&line.0)
                .map_err(|_| wrong("values that HTTP allows").inside(format_args!("field '{name}'")))?;
            headers.append(&name, line);
        }
    }
    headers.remove(CONTENT_LENGTH);
    headers.remove(TRANSFER_ENCODING);
    Ok(())
}
