//! Converts requests and responses between HTTP and Lua.

use std::collections::BTreeMap;

use dss_abi_v2::{Bytes, FromValue, FromValues, IntoValue, Value, ValueError};
use dss_http_engine::header::{HeaderName, HeaderValue, RETRY_AFTER};
use dss_http_engine::{Invalid, Parts, Response, fill, header_of, is_answer, plain};

/// A response that asks the client to try again later.
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
        let header = |name: &HeaderName| (name.as_str().to_owned(), Bytes(header_of(parts, name)));
        Asked {
            method: parts.method.as_str().to_owned(),
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().map(str::to_owned),
            headers: parts.headers.keys().map(header).collect(),
            body: Bytes(body),
        }
    }
}

/// Lua's reply: `status [, headers] [, body]`, only a body, or one table.
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
        if !is_answer(status) {
            return Err(ValueError::new("a status from 200 to 599", status.to_string()));
        }
        let mut response = plain(status, "");
        let inside = |error: ValueError| error.inside("the headers");
        let headers = Option::<BTreeMap<String, Lines>>::from_value(parted.headers.unwrap_or(Value::Nil));
        let headers = headers.map_err(inside)?.unwrap_or_default().into_iter();
        let headers = headers
            .map(|(name, Lines(lines))| (name.into_bytes(), lines.into_iter().map(|line| line.0).collect()));
        fill(&mut response, headers.collect(), parted.body.unwrap_or_default().0).map_err(|invalid| {
            inside(match invalid {
                Invalid::Name(name) => ValueError::new("names that HTTP allows", format!("'{name}'")),
                Invalid::Line(name) => ValueError::new("values that HTTP allows", format!("'{name}'"))
                    .inside(format_args!("field '{name}'")),
            })
        })?;
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
