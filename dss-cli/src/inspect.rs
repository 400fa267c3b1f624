//! `dss inspect`: shows what each file is.

use std::path::{Path, PathBuf};

use dss_impl::declared::{
    Declared, DeclaredModule, Description, FileType, Inspected, OfferedRevision, Offering, Status, inspect,
};
use dss_impl::registry::{by_number, known, name_of};
use serde_json::{Value, json};

use crate::{Outcome, old, table};

pub(crate) fn run(files: &[PathBuf], json: bool) -> Outcome {
    let all: Vec<_> = files.iter().map(|file| (file, inspect(file, known()))).collect();
    let well = all.iter().all(|(_, found)| found.is_ok());
    let text = if json {
        let list = all.iter().map(|(file, found)| match found {
            Ok(inspected) => as_json(file, inspected),
            Err(error) => {
                json!({ "file": file.to_string_lossy(), "is": "other", "error": error.to_string() })
            }
        });
        format!("{:#}\n", Value::Array(list.collect()))
    } else {
        let each = all.iter().map(|(file, found)| match found {
            Ok(inspected) => table::described(&file.display().to_string(), &rows(inspected)),
            Err(error) => format!("{} {error}\n", file.display()),
        });
        each.collect::<Vec<_>>().join("\n")
    };
    Outcome { text, well }
}

/// Whether a Lua module is a module of DSS from before 2.1.0, which declares nothing.
pub(crate) fn is_old_module(function: &str, uses: Option<u32>) -> bool {
    function == "luaopen_darksidesync" && uses.is_some()
}

/// The revisions that a module offers, with their versions.
pub(crate) fn offers(offering: &Offering) -> String {
    let each = |revision: &OfferedRevision| {
        let status = match revision.status {
            Status::Supported => String::new(),
            other => format!(" ({})", other.name()),
        };
        format!("{} {}{status}", revision.name, revision.version)
    };
    offering.revisions.iter().map(each).collect::<Vec<_>>().join(", ")
}

fn rows(inspected: &Inspected) -> Vec<(&'static str, String)> {
    let Inspected { platform, unmappable, found, descriptions } = inspected;
    let mut rows = match found {
        FileType::Module(module) => module_rows(module),
        FileType::Library(library) => library_rows(library),
        FileType::LuaModule { function, uses: Some(uses), .. } if is_old_module(function, Some(*uses)) => {
            old_rows(&old::module(*uses, platform).offering)
        }
        FileType::LuaModule { function, uses, .. } => {
            vec![("is", lua_module(*uses)), ("opened by", function.clone())]
        }
    };
    rows.push(("for", platform.to_string()));
    match (unmappable, found) {
        (Some(false), _) => rows.push(("unmapping", "prevented (linked with -z nodelete)".to_owned())),
        (Some(true), FileType::Module(_)) => {
            rows.push(("unmapping", "possible: link it with -z nodelete".to_owned()))
        }
        (Some(true), FileType::Library(_)) => {
            rows.push(("unmapping", "possible until it registers, when DSS pins it".to_owned()));
        }
        _ => {}
    }
    rows.extend(descriptions.iter().map(|it| ("has", described(it))));
    rows
}

/// A description on one line.
fn described(description: &Description) -> String {
    let Description { name, signature, text } = description;
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let gap = if text.is_empty() { "" } else { "  " };
    format!("{name}: {signature}{gap}{text}")
}

fn module_rows(module: &DeclaredModule) -> Vec<(&'static str, String)> {
    vec![
        ("is", "a DSS module".to_owned()),
        ("version", module.offering.version.to_string()),
        ("Lua", module.lua.clone()),
        ("offers", offers(&module.offering)),
        ("abi_stable", module.offering.abi_stable.clone()),
        ("compiler", module.compiler.clone()),
    ]
}

fn library_rows(library: &Declared) -> Vec<(&'static str, String)> {
    let name = name_of(library.revision);
    let status = match by_number(library.revision).map(|revision| revision.status) {
        None | Some(Status::Supported) => String::new(),
        Some(status) => format!(" ({})", status.name()),
    };
    let mut rows = vec![
        ("is", format!("a library of revision {name}{status}")),
        ("name", library.name.clone()),
        ("version", library.version.to_string()),
        ("requires", format!("DSS {}", library.requires)),
        ("interface", format!("{name} {}, by dss-abi-{name} {}", library.interface, library.crate_version)),
        ("compiler", library.compiler.clone()),
    ];
    // A library without abi_stable types has no Rust panics either.
    if !library.abi_stable.is_empty() {
        let panics = if library.unwinds { "unwind" } else { "abort the process, so DSS refuses it" };
        rows.insert(5, ("abi_stable", library.abi_stable.clone()));
        rows.push(("panics", panics.to_owned()));
    }
    rows
}

/// The rows of a module from before 2.1.0, which is recognised by the names in it.
fn old_rows(offering: &Offering) -> Vec<(&'static str, String)> {
    vec![
        ("is", "a DSS module from before 2.1.0, which does not declare what it offers".to_owned()),
        ("version", format!("{}, by the names in it", offering.version)),
        ("offers", offers(offering)),
    ]
}

/// A description of a Lua module that declares nothing.
fn lua_module(uses: Option<u32>) -> String {
    match uses {
        Some(revision) => format!(
            "a Lua module without a declaration; by the names in it, a library of revision {}",
            name_of(revision)
        ),
        None => "a Lua module that does not use DSS".to_owned(),
    }
}

/// The revisions that a module offers, as JSON.
fn revisions(offering: &Offering) -> Vec<Value> {
    let each = |revision: &OfferedRevision| {
        json!({
            "name": revision.name,
            "version": revision.version,
            "status": revision.status.name(),
            "supported": revision.status == Status::Supported,
        })
    };
    offering.revisions.iter().map(each).collect()
}

/// What a file is, as JSON.
pub(crate) fn as_json(file: &Path, inspected: &Inspected) -> Value {
    let Inspected { platform, unmappable, found, descriptions } = inspected;
    let mut value = match found {
        FileType::Module(module) => json!({
            "is": "module",
            "version": module.offering.version.to_string(),
            "lua": module.lua,
            "revisions": revisions(&module.offering),
            "abi_stable": module.offering.abi_stable,
            "compiler": module.compiler,
        }),
        FileType::Library(library) => json!({
            "is": "library",
            "name": library.name,
            "version": library.version.to_string(),
            "revision": name_of(library.revision),
            "interface": library.interface,
            "crate_version": library.crate_version,
            "requires": library.requires.to_string(),
            "abi_stable": library.abi_stable,
            "compiler": library.compiler,
            "unwinds": library.unwinds,
        }),
        FileType::LuaModule { function, uses: Some(uses), .. } if is_old_module(function, Some(*uses)) => {
            let offering = old::module(*uses, platform).offering;
            json!({
                "is": "module",
                "version": offering.version.to_string(),
                "revisions": revisions(&offering),
                "function": function,
            })
        }
        FileType::LuaModule { function, uses, .. } => json!({
            "is": if uses.is_some() { "library" } else { "lua-module" },
            "revision": uses.map(name_of),
            "function": function,
        }),
    };
    value["file"] = json!(file.to_string_lossy());
    if !descriptions.is_empty() {
        let each = |it: &Description| json!({ "name": it.name, "signature": it.signature, "text": it.text });
        value["functions"] = descriptions.iter().map(each).collect();
    }
    value["platform"] = json!(platform.to_string());
    value["unmappable"] = json!(unmappable);
    value
}
