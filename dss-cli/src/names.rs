//! Whether the file of a library has the name that a program looks for.

use std::fs;
use std::path::{Path, absolute};

use dss_impl::declared::{DeclaredModule, MOST_FUNCTIONS, Platform};
use dss_impl::search::{self, NotFound};

/// Where a program with a given module looks for libraries.
pub(crate) struct Names<'a> {
    /// The file extensions of libraries, the usual one first.
    endings: &'static [&'static str],
    /// The templates, if they were given.
    templates: Option<String>,
    /// The module's file.
    module: &'a Path,
    /// Whether its Lua, for a module name with a hyphen, only tries the part after the hyphen. Later Luas try both parts.
    is_old: bool,
}

impl<'a> Names<'a> {
    /// Makes the search of a program with the module in the file `module`. `path` is the value of `DSS_PATH`; without it, each
    /// file's own folder is searched.
    pub(crate) fn new(module: &'a Path, declared: &DeclaredModule, path: Option<&str>) -> Self {
        let endings = endings(&declared.platform);
        let is_old = ["Lua 5.1", "LuaJIT"].contains(&declared.lua.as_str());
        let mut names = Self { endings, templates: None, module, is_old };
        names.templates = path.map(|path| search::templates(Some(path), &names.default()));
        names
    }

    /// The meaning of `;;`: the module's folder. In a program Lua's own path follows, which is not known here.
    fn default(&self) -> String {
        let folder = absolute(self.module).ok().and_then(|file| Some(file.parent()?.display().to_string()));
        // These two characters have a meaning in a template and cannot be escaped.
        let Some(folder) = folder.filter(|folder| !folder.contains([';', '?'])) else { return String::new() };
        self.endings.iter().map(|ending| format!("{folder}/?.{ending}")).collect::<Vec<_>>().join(";")
    }

    /// Why `load` does not find the library `name` in `file`, and what to do. `None` if it finds it.
    pub(crate) fn loaded(&self, name: &str, file: &Path) -> Option<String> {
        match &self.templates {
            Some(templates) => by_path(name, file, templates),
            None => self.by_name(name, file),
        }
    }

    fn by_name(&self, name: &str, file: &Path) -> Option<String> {
        let wanted = search::file_of(name, self.ending(file));
        let at = absolute(file).unwrap_or_else(|_| file.to_owned());
        if at.ends_with(&wanted) {
            return None;
        }
        let wanted = wanted.display();
        let mut told = format!("`load \"{name}\"` looks for {wanted}");
        let called = file.file_stem().and_then(|stem| stem.to_str());
        let found = |stem: &&str| {
            search::check_name(stem).is_ok() && at.ends_with(search::file_of(stem, self.ending(file)))
        };
        if let Some(stem) = called.filter(found) {
            told +=
                &format!(", and `load \"{stem}\"` refuses this file, because its declared name is {name}");
        }
        told += &format!(": rename it to {wanted}");
        if at.file_name().is_some_and(|called| called.to_string_lossy() == format!("lib{wanted}")) {
            let template = at.with_file_name(format!("lib?.{}", self.ending(file)));
            told += &format!(", or add {} to DSS_PATH, and check with `--path`", template.display());
        }
        Some(told)
    }

    /// Why `require` does not open the Lua module in `file`, and what to do. `functions` are the file's `luaopen_` functions.
    pub(crate) fn required<'f>(
        &self,
        functions: impl Iterator<Item = &'f str>,
        file: &Path,
    ) -> Option<String> {
        let stem = file.file_stem().unwrap_or_default().to_string_lossy();
        // Lua looks for `.so` on macOS too.
        let ending = self.endings.last().unwrap_or(&"so");
        // For a name like `v2-redis`, Lua tries the part after the hyphen or the one before it.
        let parts: Vec<&str> = match stem.split_once('-') {
            Some((_, after)) if self.is_old => vec![after],
            Some((before, after)) => vec![before, after],
            None => vec![&stem],
        };
        let mut first = None;
        let mut count = 0;
        for function in functions {
            count += 1;
            let module = function.strip_prefix("luaopen_").unwrap_or(function);
            // `luaopen_socket_core` may be in `socket/core.so`, or in `socket.so` for a submodule.
            let opens = |part: &&str| {
                module == *part
                    || module.ends_with(&format!("_{part}"))
                    || module.starts_with(&format!("{part}_"))
            };
            if parts.iter().any(opens) && file.extension().is_some_and(|own| own == *ending) {
                return None;
            }
            first = first.or(Some(module));
        }
        // The list of functions may be incomplete.
        let module = first.filter(|_| count < MOST_FUNCTIONS)?;
        Some(format!(
            "`require \"{module}\"` looks for {module}.{ending}, and `require \"{stem}\"` does not find `luaopen_{stem}` in \
             this file: rename it to {module}.{ending}"
        ))
    }

    /// The extension of `file` if libraries can have it, the usual extension otherwise.
    fn ending(&self, file: &Path) -> &'static str {
        let own = self.endings.iter().find(|ending| file.extension().is_some_and(|own| own == **ending));
        own.unwrap_or(&self.endings[0])
    }
}

fn by_path(name: &str, file: &Path, templates: &str) -> Option<String> {
    match search::find(name, templates) {
        Ok(found) if is_same(&found, file) => None,
        Ok(found) => Some(format!("`load \"{name}\"` finds {} before it", found.display())),
        Err(NotFound::Nowhere { tried, .. }) if tried.is_empty() => {
            Some(format!("`load \"{name}\"` finds nothing: the search path is empty"))
        }
        Err(NotFound::Nowhere { tried, .. }) => {
            let tried: Vec<_> = tried.iter().map(|tried| tried.file.display().to_string()).collect();
            Some(format!("`load \"{name}\"` does not find it: it looks for {}", tried.join(", ")))
        }
        Err(bad) => Some(bad.to_string()),
    }
}

fn is_same(one: &Path, other: &Path) -> bool {
    matches!((fs::canonicalize(one), fs::canonicalize(other)), (Ok(one), Ok(other)) if one == other)
}

/// The file extensions that a program looks for, the usual one first.
fn endings(platform: &Platform) -> &'static [&'static str] {
    match platform.system {
        "windows" => &["dll"],
        "macos" => &["dylib", "so"],
        _ => &["so"],
    }
}
