//! `cargo matrix`: libraries of every revision, release and compiler in modules of every release and Lua.
//!
//! A cell is one library in one module. Its outcome is declared in `cell.rs`: the library works, or it is refused with a
//! sentence that names both sides. The run fails if a cell has another outcome, or if something published has changed.

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
mod targets;
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
use crate::columns::Column;
use crate::compilers::Compiler;
use crate::report::Report;
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

/// Does what the command line asks for. Returns whether everything is as declared.
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
        return conclude(args, Report::new(windows::run(args.jobs)?, freeze::differences(&tree)));
    }
    if let Some(name) = &args.target {
        return on_targets(args, name, freeze::differences(&tree));
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
    // Built here, because several cells that run at the same time need it.
    let _ = artefacts::dss();
    work::build(&mut cells);
    let outcomes = work::run(&cells, args.jobs, args.fresh);
    conclude(args, Report::new(outcomes, differences))
}

/// Builds for the targets that `name` means and runs their scenarios, one target after another.
fn on_targets(args: &Args, name: &str, differences: Vec<Difference>) -> Result<bool, String> {
    let (mut outcomes, mut platforms) = (Vec::new(), Vec::new());
    for wanted in targets::named(name)? {
        let (its, platform) = wanted.run(args.jobs)?;
        outcomes.extend(its);
        platforms.push(platform);
    }
    conclude(args, Report { platforms, ..Report::new(outcomes, differences) })
}

/// Writes and prints the report of a run. Returns whether everything is as declared.
fn conclude(args: &Args, report: Report) -> Result<bool, String> {
    let output = args.report.clone().unwrap_or_else(|| folder().join("report"));
    report.write(&output).map_err(|error| format!("{}: {error}", output.display()))?;
    print!("{}", report.text());
    println!("{}", output.join("index.html").display());
    Ok(report.is_well())
}

/// The cells of the quick run, or of the full one.
fn cells(args: &Args, tree: &Source) -> Result<Vec<Cell>, String> {
    let releases: Vec<_> = frozen::releases().into_iter().map(Source::Release).collect();
    let frozen_of = |revision: Revision| -> Vec<Source> {
        // Only the working tree has a preview.
        if revision.is_preview() {
            return vec![tree.clone()];
        }
        revision.releases().into_iter().map(Source::Release).collect()
    };
    let (rows, columns) = if args.all {
        let with_tree = |revision: Revision| {
            let mut sources = frozen_of(revision);
            if !sources.contains(tree) {
                sources.push(tree.clone());
            }
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
    // The last release must refuse a preview that came after it. The full run has this cell in its columns.
    let before: Vec<_> = if args.all { None } else { frozen::releases().pop() }
        .map(|release| Column { source: Source::Release(release), lua: Lua("lua54") })
        .into_iter()
        .collect();
    let previews = rows.iter().filter(|row| row.revision.is_preview()).cloned().map(Libraries::One);
    let refused: Vec<_> =
        previews.flat_map(|row| before.iter().map(move |it| (row.clone(), it.clone()))).collect();
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
    cells.extend(refused.into_iter().map(|(libraries, column)| Cell {
        libraries,
        column,
        is_quick: true,
        broken: None,
    }));
    Ok(cells)
}

/// The folder for everything that the matrix makes, inside cargo's target folder.
pub(crate) fn folder() -> PathBuf {
    target().with_file_name("matrix")
}

/// Libraries of the working tree that scenarios use in addition to the library of their row.
const EXTRA_LIBRARIES: [&str; 2] = ["probe.so", "fswatch.so"];

/// The folder with the extra libraries for `lua`.
pub(crate) fn extra_libraries(lua: Lua) -> PathBuf {
    folder().join("extra").join(lua.0)
}

/// Builds the extra libraries for `lua` and copies them into their folder.
pub(crate) fn prepare_extra_libraries(lua: Lua) {
    let folder = extra_libraries(lua);
    fs::create_dir_all(&folder).expect("the target folder can be written to");
    let artefacts = Artefacts::of(lua);
    let [probe, fswatch] = EXTRA_LIBRARIES;
    copy(&artefacts.folder.join(probe), &folder.join(probe));
    copy(&artefacts.for_every_lua.join(fswatch), &folder.join(fswatch));
}
