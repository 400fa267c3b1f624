//! Converts requests and responses between HTTP and Lua.

use dss_http_engine::{Headers, Invalid, Parts, Response, fill, header_of, is_answer, plain};
use mlua::prelude::*;

/// A request that was read.
pub(crate) struct Asked {
    pub(crate) parts: Parts,
    pub(crate) body: Vec<u8>,
}

impl Asked {
    /// The table that the handler gets.
    pub(crate) fn to_lua(&self, lua: &Lua) -> LuaResult<LuaTable> {
        let Asked { parts, body } = self;
        let headers = lua.create_table()?;
        for name in parts.headers.keys() {
            headers.set(name.as_str(), lua.create_string(header_of(parts, name))?)?;
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

/// Lua's reply: `status [, headers] [, body]`, or one table.
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
        let status = status
            .filter(|status| is_answer(*status))
            .ok_or_else(|| wrong("the status has to be an integer from 200 to 599"))?;
        let body = match body {
            LuaValue::Nil => Vec::new(),
            body => bytes(lua, body)?.ok_or_else(|| wrong("the body has to be a string"))?,
        };
        let headers = match headers {
            LuaValue::Nil => Vec::new(),
            LuaValue::Table(headers) => read_headers(lua, &headers)?,
            _ => return Err(wrong("the headers have to be a table")),
        };
        let mut response = plain(status, "");
        fill(&mut response, headers, body).map_err(|invalid| match invalid {
            Invalid::Name(_) => wrong("one of the headers has a name that HTTP does not allow"),
            Invalid::Line(name) => wrong(&format!("the header {name} has a value that HTTP does not allow")),
        })?;
        Ok(Reply(response))
    }
}

fn wrong(what: &str) -> LuaError {
    LuaError::runtime(format!("httpd cannot send this reply: {what}"))
}

fn bytes(lua: &Lua, value: LuaValue) -> LuaResult<Option<Vec<u8>>> {
    Ok(lua.coerce_string(value)?.map(|text| text.as_bytes().to_vec()))
}

/// The names and lines of a table of headers.
fn read_headers(lua: &Lua, table: &LuaTable) -> LuaResult<Headers> {
    let mut headers = Vec::new();
    for pair in table.pairs::<LuaValue, LuaValue>() {
        let (name, value) = pair?;
        let name = bytes(lua, name)?
            .ok_or_else(|| wrong("one of the headers has a name that HTTP does not allow"))?;
        let lines = match value {
            LuaValue::Table(lines) => lines.sequence_values().collect::<LuaResult<Vec<LuaValue>>>()?,
            line => vec![line],
        };
        let mut read = Vec::new();
        for line in lines {
            read.push(bytes(lua, line)?.ok_or_else(|| {
                let name = String::from_utf8_lossy(&name);
                wrong(&format!("the header {name} has a value that HTTP does not allow"))
            })?);
        }
        headers.push((name, read));
    }
    Ok(headers)
}
