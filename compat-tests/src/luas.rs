//! The six Luas.

use std::{env, fmt};

/// A Lua that DSS is built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lua(pub &'static str);

/// All Luas, by the names of their cargo features.
pub const ALL: [Lua; 6] =
    [Lua("lua51"), Lua("lua52"), Lua("lua53"), Lua("lua54"), Lua("lua55"), Lua("luajit")];

/// The Luas that a run of the tests uses. `DSS_LUAS` names them, separated by spaces, or is `all`. The default is Lua 5.4 and LuaJIT, which
/// differ most, and which most hosts have.
///
/// # Panics
/// `DSS_LUAS` names none of the six.
#[must_use]
pub fn tested() -> Vec<Lua> {
    let names = env::var("DSS_LUAS").unwrap_or_else(|_| "lua54 luajit".to_owned());
    let luas = ALL.into_iter().filter(|lua| names == "all" || names.split(' ').any(|name| name == lua.0));
    let luas: Vec<_> = luas.collect();
    assert!(
        !luas.is_empty(),
        "DSS_LUAS is {names:?}: wanted `all`, or some of lua51, lua52, lua53, lua54, lua55, luajit"
    );
    luas
}

impl Lua {
    /// The version in the names of Lua's folders. LuaJIT uses the folders of 5.1.
    #[must_use]
    pub fn folder(self) -> &'static str {
        match self.0 {
            "lua52" => "5.2",
            "lua53" => "5.3",
            "lua54" => "5.4",
            "lua55" => "5.5",
            _ => "5.1",
        }
    }

    /// The name that this Lua reports.
    #[must_use]
    pub fn title(self) -> String {
        match self.0 {
            "luajit" => "LuaJIT".to_owned(),
            _ => format!("Lua {}", self.folder()),
        }
    }
}

impl fmt::Display for Lua {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}
