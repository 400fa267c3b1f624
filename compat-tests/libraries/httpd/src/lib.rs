//! `httpd` is an HTTP server whose requests are answered by Lua.
//!
//! ```lua
//! local darksidesync = require "darksidesync"
//! local httpd = require "httpd"
//!
//! local server = assert(httpd.serve {
//!     port = 8080,
//!     handler = function(request)
//!         return 200, "hello from " .. request.path
//!     end,
//! })
//! darksidesync.run()
//! ```
//!
//! `httpd.serve(options)` returns a server, or nil and a message. The options are `handler`; `port`, by default 0 for any free
//! port; `host`, by default 127.0.0.1; and `threads`, by default 4: how many requests wait for Lua at the same time. Other
//! requests wait behind them. The server serves until it is closed, even if Lua does not keep it.
//!
//! The handler gets a request, `{method =, path =, query =, headers =, body =}`. Names of headers are in lower case, and
//! the path is as it was sent. The handler answers in one of two ways:
//!
//! * It returns `status [, headers] [, body]`, or one table `{status =, headers =, body =}`. A header is a string, or a
//!   list of strings.
//! * It returns nothing, keeps its second argument, a function, and calls that later with the same values.
//!
//! If the handler raises an error, or drops that function without calling it, the client gets a 500, at the latest when Lua
//! collects the function. The error goes to DSS's error handler. A body of more than 1 MiB is refused with a 413.
//!
//! `server:port()` returns the port. `server:close()` accepts no more connections; requests that wait for Lua are still answered.
//! `httpd.stop()` ends all servers of this Lua state; requests that wait for Lua get a 503. The same happens when the state closes,
//! except that Lua first drops the replies that it still has to give, and their clients get the 500.

mod message;

use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dss_abi_v1::mlua_0_12::attach;
use dss_abi_v1::{Answer, Dss, Library, LibraryId};
use dss_http_engine::{Response, Server, plain, spawn_blocking};
use mlua::prelude::*;

use message::{Asked, Reply};

/// The size limit of request bodies, in bytes.
const LARGEST_BODY: usize = 1 << 20;

static HTTPD: LibraryId = LibraryId::new("httpd");

/// The function that DSS calls. It calls the handler and replies with the results. An error passes through with its traceback, and DSS then
/// ends the reply itself.
const ANSWERING: &str = "local handler = ...
local function answer(reply, status, ...)
    if status ~= nil then reply(status, ...) end
end
return function(reply, request)
    return answer(reply, handler(request, reply))
end";

/// The servers of one state.
#[derive(Default)]
struct Serving {
    library: Option<Library>,
    servers: Vec<Arc<Server>>,
}

/// The record of a state. The closing callback shares it, and does not use Lua.
#[derive(Clone, Default)]
struct Record(Arc<Mutex<Serving>>);

impl Record {
    /// The record of this state. It is the same each time the module is loaded in the state.
    fn of(lua: &Lua) -> Record {
        let found = lua.app_data_ref::<Record>().map(|record| record.clone());
        found.unwrap_or_else(|| {
            let record = Record::default();
            lua.set_app_data(record.clone());
            record
        })
    }

    /// Not to be held while Lua runs, because a step of the collector may call this again.
    fn serving(&self) -> MutexGuard<'_, Serving> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The library as registered in this state. Registers it for the first server.
    fn library(&self, lua: &Lua, dss: Dss) -> LuaResult<Library> {
        if let Some(library) = self.serving().library {
            return Ok(library);
        }
        let at_close = self.clone();
        let library = dss.register_in(lua, &HTTPD, move || at_close.end())?;
        self.serving().library = Some(library);
        Ok(library)
    }

    /// Ends all servers. Unregisters first, so that no thread waits for Lua while Lua waits for the servers.
    fn end(&self) {
        let Serving { library, servers } = std::mem::take(&mut *self.serving());
        if let Some(library) = library {
            let _ = library.unregister();
        }
        servers.iter().for_each(|server| server.end());
        servers.iter().for_each(|server| server.wait());
    }
}

/// The userdata of a server.
struct Handle(Arc<Server>);

impl LuaUserData for Handle {
    fn add_methods<M: LuaUserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("port", |_, handle, ()| Ok(handle.0.port()));
        methods.add_method("close", |_, handle, ()| {
            handle.0.close();
            Ok(())
        });
        #[cfg(any(feature = "lua54", feature = "lua55"))]
        methods.add_meta_method(LuaMetaMethod::Close, |_, handle, _: LuaMultiValue| {
            handle.0.close();
            Ok(())
        });
    }
}

/// Waits for Lua's answer, on a thread of the server's pool.
fn ask(library: Library, handler: &LuaRegistryKey, asked: &Asked) -> Response {
    let decode = |lua: &Lua| Ok((lua.registry_value::<LuaFunction>(handler)?, asked.to_lua(lua)?));
    match library.request_lua(decode, |_, Reply(response)| Ok(response)) {
        Ok(Answer::Replied(response)) => response,
        Ok(Answer::Collected) => plain(500, "the handler did not answer"),
        Ok(Answer::Cancelled) | Err(_) => plain(503, "the server is shutting down"),
        Ok(_) => plain(500, "the handler's answer could not be sent"),
    }
}

/// An option that is an integer.
fn integer(options: &LuaTable, name: &str, default: i64, range: RangeInclusive<i64>) -> Result<i64, String> {
    let given: LuaValue = options.get(name).map_err(|error| error.to_string())?;
    let number = match given {
        LuaValue::Nil => Some(default),
        LuaValue::Number(number) if number.fract() == 0.0 => Some(number as i64),
        given => given.as_i64(),
    };
    number.filter(|number| range.contains(number)).ok_or_else(|| {
        format!("httpd.serve: {name} has to be an integer from {} to {}", range.start(), range.end())
    })
}

/// `httpd.serve(options)`.
fn serve(lua: &Lua, dss: Dss, record: &Record, options: &LuaTable) -> LuaResult<Result<Handle, String>> {
    let (port, threads) =
        match (integer(options, "port", 0, 0..=u16::MAX.into()), integer(options, "threads", 4, 1..=512)) {
            (Ok(port), Ok(threads)) => (port as u16, threads as usize),
            (Err(sentence), _) | (_, Err(sentence)) => return Ok(Err(sentence)),
        };
    let host: String = options.get::<Option<_>>("host")?.unwrap_or_else(|| "127.0.0.1".to_owned());
    let LuaValue::Function(handler) = options.get("handler")? else {
        return Ok(Err("httpd.serve: handler has to be a function that answers a request".to_owned()));
    };
    let library = match record.library(lua, dss) {
        Ok(library) => library,
        Err(error) => return Ok(Err(format!("httpd cannot serve: {error}"))),
    };
    let handler: LuaFunction = lua.load(ANSWERING).set_name("=httpd").call(handler)?;
    let handler = lua.create_registry_value(handler)?;
    let handler = Arc::new(handler);
    let answer = move |parts, body| {
        let handler = Arc::clone(&handler);
        async move {
            let asked = Asked { parts, body };
            spawn_blocking(move || ask(library, &handler, &asked))
                .await
                .unwrap_or_else(|_| plain(500, "the server failed"))
        }
    };
    match Server::start(&host, port, LARGEST_BODY, threads, answer, || {}) {
        Ok(server) => {
            let server = Arc::new(server);
            let mut serving = record.serving();
            serving.servers.retain(|server| !server.has_ended());
            serving.servers.push(Arc::clone(&server));
            Ok(Ok(Handle(server)))
        }
        Err(error) => Ok(Err(format!(
            "httpd cannot serve on {host}, port {port} ({error}): choose another, or 0 for any port that is free"
        ))),
    }
}

/// The result of `require "httpd"`.
#[mlua::lua_module]
fn httpd(lua: &Lua) -> LuaResult<LuaTable> {
    let dss = attach(lua, &HTTPD)?;
    let record = Record::of(lua);
    let module = lua.create_table()?;
    let served = record.clone();
    let serve = move |lua: &Lua, options: LuaTable| serve(lua, dss, &served, &options);
    module.set("serve", lua.create_function(serve)?)?;
    let stop = move |_: &Lua, ()| {
        record.end();
        Ok(())
    };
    module.set("stop", lua.create_function(stop)?)?;
    module.set("_VERSION", concat!("httpd ", env!("CARGO_PKG_VERSION")))?;
    Ok(module)
}
