//! Requests as Lua sees them, and responses as it says them.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING};
use hyper::http::request::Parts;
use mlua::prelude::*;

/// What goes to a client.
pub(crate) type Response = hyper::Response<Full<Bytes>>;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// A response of the server's own.
pub(crate) fn plain(status: u16, text: &'static str) -> Response {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status.try_into().expect("every status in this crate is one");
    response.headers_mut().insert(CONTENT_TYPE, TEXT);
    response
}

/// A request that was read.
pub(crate) struct Asked {
    pub(crate) parts: Parts,
    pub(crate) body: Bytes,
}

impl Asked {
    /// The table that the handler gets.
    pub(crate) fn to_lua(&self, lua: &Lua) -> LuaResult<LuaTable> {
        let Asked { parts, body } = self;
        let headers = lua.create_table()?;
        for name in parts.headers.keys() {
            // One line each, as the client might have written them itself.
            let lines: Vec<&[u8]> = parts.headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
            headers.set(name.as_str(), lua.create_string(lines.join(&b", "[..]))?)?;
        }
        let request = lua.create_table()?;
        request.set("method", parts.method.as_str())?;
        request.set("path", parts.uri.path())?;
        request.set("query", parts.uri.query())?;
        request.set("headers", headers)?;
        request.set("body", lua.create_string(body)?)?;
        Ok(request)
    }
}

/// What Lua replied: `status [, headers] [, body]`, or one table.
pub(crate) struct Reply(pub(crate) Response);

impl FromLuaMulti for Reply {
    fn from_lua_multi(given: LuaMultiValue, lua: &Lua) -> LuaResult<Reply> {
        let (status, headers, body) = match <(LuaValue, LuaValue, LuaValue)>::from_lua_multi(given, lua)? {
            (LuaValue::Table(reply), ..) => (reply.get("status")?, reply.get("headers")?, reply.get("body")?),
            (status, headers @ (LuaValue::Table(_) | LuaValue::Nil), body) => (status, headers, body),
            (status, body, LuaValue::Nil) => (status, LuaValue::Nil, body),
            _ => return Err(wrong("the headers come before the body, in a table")),
        };
        let status = match status {
            LuaValue::Integer(status) => u16::try_from(status).ok(),
            LuaValue::Number(status) if status.fract() == 0.0 => Some(status as u16),
            _ => None,
        };
        // Lower ones are not an answer yet.
        let status = status
            .filter(|status| (200..=599).contains(status))
            .ok_or_else(|| wrong("the status has to be an integer from 200 to 599"))?;
        let body = match body {
            LuaValue::Nil => Bytes::new(),
            body => {
                let text = lua.coerce_string(body)?.ok_or_else(|| wrong("the body has to be a string"))?;
                Bytes::copy_from_slice(&text.as_bytes())
            }
        };
        let mut response = plain(status, "");
        match headers {
            LuaValue::Nil => {}
            LuaValue::Table(headers) => read_headers(lua, &headers, response.headers_mut())?,
            _ => return Err(wrong("the headers have to be a table")),
        }
        *response.body_mut() = Full::new(body);
        Ok(Reply(response))
    }
}

fn wrong(what: &str) -> LuaError {
    LuaError::runtime(format!("httpd cannot send this reply: {what}"))
}

/// Adds what a table of headers says. How long the body is, the server says.
fn read_headers(lua: &Lua, table: &LuaTable, headers: &mut HeaderMap) -> LuaResult<()> {
    for pair in table.pairs::<LuaValue, LuaValue>() {
        let (name, value) = pair?;
        let name = lua
            .coerce_string(name)?
            .and_then(|name| HeaderName::from_bytes(&name.as_bytes()).ok())
            .ok_or_else(|| wrong("one of the headers has a name that HTTP does not allow"))?;
        let lines = match value {
            LuaValue::Table(lines) => lines.sequence_values().collect::<LuaResult<Vec<LuaValue>>>()?,
            line => vec![line],
        };
        headers.remove(&name);
        for line in lines {
            let line = lua
                .coerce_string(line)?
                .and_then(|line| HeaderValue::from_bytes(&line.as_bytes()).ok())
                .ok_or_else(|| wrong(&format!("the header {name} has a value that HTTP does not allow")))?;
            headers.append(&name, line);
        }
    }
    headers.remove(CONTENT_LENGTH);
    headers.remove(TRANSFER_ENCODING);
    Ok(())
}
