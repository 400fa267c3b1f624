//! `dss check`: checks each library against a module.

use std::fs;
use std::iter::once;
use std::path::{Path, PathBuf};

use dss_impl::declared::{
    Declared, DeclaredModule, FileType, Inspected, Platform, ReadError, Status, fits, inspect,
};
use dss_impl::registry::{by_number, known, name_of};
use serde_json::{Value, json};

use crate::inspect::{as_json, is_old_module, offers};
use crate::names::Names;
use crate::{BadUsage, Outcome, old, table};

/// Whether a library fits the module.
enum Verdict {
    Fits,
    /// It fits, with a warning.
    Warned(String),
    /// It cannot be loaded, with the reason.
    Misfit(String),
    /// The file is not a library of DSS.
    Other(String),
}

struct Row {
    file: PathBuf,
    name: String,
    version: String,
    revision: String,
    verdict: Verdict,
    json: Value,
}

/// The module, and the file names that a program with this module looks for.
struct Against<'a> {
    module: &'a DeclaredModule,
    names: Names<'a>,
}

pub(crate) fn run(
    module: &Path,
    libraries: &[PathBuf],
    path: Option<&str>,
    json: bool,
) -> Result<Outcome, BadUsage> {
    let inspected = inspect(module, known())
        .map_err(|error| BadUsage(format!("--module: {} {error}", module.display())))?;
    let old;
    let declared = match &inspected.found {
        FileType::Module(declared) => declared,
        // It does not declare what it offers, but that is known.
        FileType::LuaModule { function, uses: Some(uses), .. } if is_old_module(function, Some(*uses)) => {
            old = old::module(*uses, &inspected.platform);
            &old
        }
        other => return Err(BadUsage(no_module(module, other))),
    };
    let against = Against { module: declared, names: Names::new(module, declared, path) };
    let here = [PathBuf::from(".")];
    let given = if libraries.is_empty() { &here } else { libraries };
    let mut rows = Vec::new();
    for path in given {
        if path.is_dir() {
            let mut files = shared_libraries(path)
                .map_err(|error| BadUsage(format!("{} cannot be listed: {error}", path.display())))?;
            files.sort();
            // Files that have nothing to do with DSS are left out. A folder may have many of them.
            rows.extend(
                files
                    .into_iter()
                    .map(|file| row(file, &against))
                    .filter(|row| !matches!(row.verdict, Verdict::Other(_))),
            );
        } else {
            rows.push(row(path.clone(), &against));
        }
    }
    let well = !rows.iter().any(|row| matches!(row.verdict, Verdict::Misfit(_) | Verdict::Other(_)));
    let text = if json {
        let list: Vec<_> = rows.into_iter().map(|row| row.json).collect();
        format!("{:#}\n", json!({ "module": as_json(module, &inspected), "libraries": list, "fit": well }))
    } else {
        text(module, declared, &rows)
    };
    Ok(Outcome { text, well })
}

/// The error for a file that is not a module.
fn no_module(file: &Path, found: &FileType) -> String {
    let file = file.display();
    match found {
        FileType::Library(library) => format!(
            "--module: {file} is the library {} {}: pass the module, darksidesync.so, and then the library",
            library.name, library.version
        ),
        _ => format!("--module: {file} is not a DSS module: pass darksidesync.so"),
    }
}

/// The shared libraries in a folder, without its subfolders.
fn shared_libraries(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let ending = path.extension().and_then(|ending| ending.to_str());
        if ending.is_some_and(|ending| ["so", "dylib", "dll"].contains(&ending)) && !path.is_dir() {
            files.push(path);
        }
    }
    Ok(files)
}

fn row(file: PathBuf, against: &Against<'_>) -> Row {
    let inspected = inspect(&file, known());
    let stem = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let other = |what: &str| (stem.clone(), "?".to_owned(), "-".to_owned(), Verdict::Other(what.to_owned()));
    let (name, version, revision, verdict) = match &inspected {
        Ok(Inspected { found: FileType::Library(library), platform, .. }) => {
            let (revision, verdict) =
                (name_of(library.revision), declared(library, platform, &file, against));
            (library.name.clone(), library.version.to_string(), revision, verdict)
        }
        Ok(Inspected { found: FileType::LuaModule { function, uses, .. }, .. })
            if is_old_module(function, *uses) =>
        {
            other("is a DSS module")
        }
        Ok(Inspected { found: FileType::LuaModule { uses: None, .. }, .. }) => {
            other("is a Lua module that does not use DSS")
        }
        Ok(Inspected {
            found: FileType::LuaModule { uses: Some(uses), function, others }, platform, ..
        }) => {
            let functions = once(function).chain(others).map(String::as_str);
            let misnamed = against.names.required(functions, &file);
            let verdict = undeclared(&stem, *uses, platform, misnamed, against.module);
            (stem.clone(), "?".to_owned(), name_of(*uses), verdict)
        }
        Ok(Inspected { found: FileType::Module(_), .. }) => other("is a DSS module"),
        // A library of the system, or a linker script for one.
        Err(error @ (ReadError::NoDeclaration | ReadError::NotALibrary { what: "a linker script" })) => {
            other(&error.to_string())
        }
        // Any other file with the name of a library would break a load: an incomplete copy, or a page that says "not found".
        Err(error) => {
            (stem.clone(), "?".to_owned(), "?".to_owned(), Verdict::Misfit(format!("{stem} {error}")))
        }
    };
    let (fit, note) = match &verdict {
        Verdict::Fits => ("yes", None),
        Verdict::Warned(note) => ("warned", Some(note)),
        Verdict::Misfit(note) => ("no", Some(note)),
        Verdict::Other(note) => ("other", Some(note)),
    };
    let mut json = inspected
        .as_ref()
        .map_or_else(|_| json!({ "file": file.to_string_lossy(), "is": "other" }), |it| as_json(&file, it));
    json["fits"] = json!(fit);
    json["note"] = json!(note);
    Row { file, name, version, revision, verdict, json }
}

/// The verdict on a library that declares itself.
fn declared(library: &Declared, platform: &Platform, file: &Path, against: &Against<'_>) -> Verdict {
    let module = against.module;
    let unfit = foreign(&library.name, platform, module).or_else(|| {
        let misfit =
            fits(&Declared { file: None, ..library.clone() }, &module.offering, None, known()).err()?;
        Some(misfit.to_string())
    });
    verdict([unfit, against.names.loaded(&library.name, file)], library.revision, module)
}

/// The verdict on a library that is only known by its symbols. `misnamed` says what is wrong with the name of its file.
fn undeclared(
    name: &str,
    revision: u32,
    platform: &Platform,
    misnamed: Option<String>,
    module: &DeclaredModule,
) -> Verdict {
    let unfit = foreign(name, platform, module).or_else(|| {
        let offered = module.offering.revisions.iter().any(|offered| offered.number == revision);
        (!offered).then(|| {
            format!(
                "{name} is of revision {}, and this DSS {} offers {}: keep a DSS that offers it, or upgrade {name}",
                name_of(revision),
                module.offering.version,
                offers(&module.offering)
            )
        })
    });
    verdict([unfit, misnamed], revision, module)
}

/// A warning for a library of a revision that this command does not know. Only the versions can be compared then.
fn unchecked(revision: u32) -> Option<Verdict> {
    by_number(revision).is_none().then(|| {
        Verdict::Warned(format!(
            "this dss {} does not know revision {}: it compared only the versions",
            dss_impl::VERSION,
            name_of(revision)
        ))
    })
}

/// The verdict on a library of a revision, from what is wrong with it.
fn verdict(wrong: [Option<String>; 2], revision: u32, module: &DeclaredModule) -> Verdict {
    let wrong: Vec<_> = wrong.into_iter().flatten().collect();
    if wrong.is_empty() {
        unchecked(revision).or_else(|| warned(revision, module)).unwrap_or(Verdict::Fits)
    } else {
        Verdict::Misfit(wrong.join("; "))
    }
}

fn foreign(name: &str, platform: &Platform, module: &DeclaredModule) -> Option<String> {
    // Either file may be marked for its system: g++ marks some files for Linux, and others for any system with ELF files.
    let same = platform.suits(&module.platform) || module.platform.suits(platform);
    (!same).then(|| {
        let (of_library, of_module) = (platform.beside(&module.platform), module.platform.beside(platform));
        let what = format!("{name} is for {of_library}, but the module is for {of_module}");
        format!("{what}: get the library for the platform of the module")
    })
}

fn warned(revision: u32, module: &DeclaredModule) -> Option<Verdict> {
    let (name, dss) = (name_of(revision), &module.offering.version);
    match module.offering.status(revision)? {
        Status::Supported => None,
        Status::Deprecated => Some(Verdict::Warned(format!(
            "revision {name} is deprecated in DSS {dss}, and a later version may remove it"
        ))),
        Status::Preview => Some(Verdict::Warned(format!(
            "revision {name} is a preview in DSS {dss}, and a later version may refuse libraries built for it"
        ))),
    }
}

fn text(file: &Path, module: &DeclaredModule, rows: &[Row]) -> String {
    let head = format!(
        "{}: DSS {} for {}, offers {}\n\n",
        file.display(),
        module.offering.version,
        module.lua,
        offers(&module.offering)
    );
    if rows.is_empty() {
        return head + "no DSS libraries found\n";
    }
    let mut lines = vec![["library", "version", "revision", "fits", ""].map(str::to_owned).to_vec()];
    for row in rows {
        let (fits, note) = match &row.verdict {
            Verdict::Fits => ("yes", ""),
            Verdict::Warned(note) => ("yes, but", note.as_str()),
            Verdict::Misfit(note) => ("no", note.as_str()),
            Verdict::Other(note) => ("-", note.as_str()),
        };
        let Row { name, version, revision, file, .. } = row;
        let note =
            if note.is_empty() { file.display().to_string() } else { format!("{}: {note}", file.display()) };
        lines.push(vec![name.clone(), version.clone(), revision.clone(), fits.to_owned(), note]);
    }
    let misfits = rows.iter().filter(|row| matches!(row.verdict, Verdict::Misfit(_))).count();
    let fitting = rows.iter().filter(|row| matches!(row.verdict, Verdict::Fits | Verdict::Warned(_))).count();
    format!("{head}{}\n{fitting} fit, {misfits} do not\n", table::columns(&lines))
}
