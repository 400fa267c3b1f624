//! `cargo matrix`: libraries of every revision, release and compiler in modules of every release and Lua.
//!
//! A cell is one library in one module. What must come of it is declared beforehand (`cell.rs`): it works, or it is refused
//! by a sentence that names both sides. The run fails where anything else comes, or where what is published has changed.

mod args;
mod cell;
mod columns;
mod compilers;
mod fetch;
mod mixed;
mod parallel;
mod refusal;
mod relink;
mod report;
mod results;
mod rows;
mod windows;
mod work;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use compat_tests::artefacts::{self, Artefacts, copy, target, workspace};
use compat_tests::freeze::{self, Difference};
use compat_tests::frozen;
use compat_tests::luas::Lua;
use compat_tests::standalone::Source;

use crate::args::Args;
use crate::cell::{Cell, Libraries};
use crate::compilers::Compiler;
use crate::report::Report;
use crate::results::Outcome;
use crate::rows::{Profile, Revision};

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("cargo matrix: {message}");
            ExitCode::from(2)
        }
    }
}

/// Does what the command line says; whether all is as declared.
fn run(args: &Args) -> Result<bool, String> {
    if args.fetch_compilers {
        return fetch::fetch(&|text| eprintln!("{text}")).map(|()| true);
    }
    let tree = match &args.tree {
        None => workspace().to_owned(),
        Some(tree) => {
            fs::canonicalize(tree).map_err(|error| format!("--tree {}: {error}", tree.display()))?
        }
    };
    if args.windows {
        return conclude(args, windows::run(args.jobs)?, freeze::differences(&tree));
    }
    let mut cells = cells(args, &Source::Tree(tree.clone()))?;
    cells.retain(|cell| {
        let name = cell.to_string();
        args.only.iter().all(|text| name.contains(text.as_str()))
    });
    if cells.is_empty() {
        return Err(format!(
            "no cell has {} in its name: `cargo matrix --list` shows all",
            args.only.join(" and ")
        ));
    }
    if args.list {
        for cell in &cells {
            println!("{cell}: {:?}, {} scenarios", cell.expected(), cell.scenarios().len());
        }
        return Ok(true);
    }
    let differences = freeze::differences(&tree);
    // Here, and not by the first of several cells at a time that wants it.
    let _ = artefacts::dss();
    work::build(&mut cells);
    let outcomes = work::run(&cells, args.jobs, args.fresh);
    conclude(args, outcomes, differences)
}

/// Reports what came of a run; whether all is as declared.
fn conclude(args: &Args, outcomes: Vec<Outcome>, differences: Vec<Difference>) -> Result<bool, String> {
    let report = Report::new(outcomes, differences);
    let place = args.report.clone().unwrap_or_else(|| folder().join("report"));
    report.write(&place).map_err(|error| format!("{}: {error}", place.display()))?;
    print!("{}", report.text());
    println!("{}", place.join("index.html").display());
    Ok(report.is_well())
}

/// The cells of a quick run, or of all.
fn cells(args: &Args, tree: &Source) -> Result<Vec<Cell>, String> {
    let releases: Vec<_> = frozen::releases().into_iter().map(Source::Release).collect();
    let frozen_of = |revision: Revision| -> Vec<Source> {
        revision.releases().into_iter().map(Source::Release).collect()
    };
    let (rows, columns) = if args.all {
        let with_tree = |revision: Revision| {
            let mut sources = frozen_of(revision);
            sources.push(tree.clone());
            sources
        };
        let compilers = compilers::all()?;
        let mut modules = releases;
        modules.push(tree.clone());
        (rows::rows(&with_tree, &compilers, &[Profile::Debug, Profile::Release]), columns::columns(&modules))
    } else {
        let compilers = [Compiler::in_use()?];
        (
            rows::rows(&frozen_of, &compilers, &[Profile::Release]),
            columns::columns(std::slice::from_ref(tree)),
        )
    };
    let mut libraries: Vec<_> = rows.iter().cloned().map(Libraries::One).collect();
    libraries.push(Libraries::All(rows));
    let mut cells = Vec::new();
    let in_use = Compiler::in_use()?;
    for libraries in libraries {
        for column in &columns {
            let is_quick = column.source == *tree && libraries.are_quick(&in_use);
            cells.push(Cell { libraries: libraries.clone(), column: column.clone(), is_quick, broken: None });
        }
    }
    Ok(cells)
}

/// The folder of all that the matrix makes, inside cargo's own target folder.
pub(crate) fn folder() -> PathBuf {
    target().with_file_name("matrix")
}

/// What scenarios have beside their own library, from the tree, and nothing of the rows' own.
const COMPANY: [&str; 2] = ["probe.so", "fswatch.so"];

/// The folder with that.
pub(crate) fn company(lua: Lua) -> PathBuf {
    folder().join("company").join(lua.0)
}

/// Puts it there.
pub(crate) fn prepare_company(lua: Lua) {
    let folder = company(lua);
    fs::create_dir_all(&folder).expect("the target folder can be written to");
    let artefacts = Artefacts::of(lua);
    let [probe, fswatch] = COMPANY;
    copy(&artefacts.folder.join(probe), &folder.join(probe));
    copy(&artefacts.for_every_lua.join(fswatch), &folder.join(fswatch));
}
