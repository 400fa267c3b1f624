//! The cells: what is declared of each beforehand, and running one.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::Instant;

use compat_tests::artefacts::{dss, workspace};
use compat_tests::environment::Environment;
use compat_tests::freeze::sha256;
use compat_tests::scenarios::{self, Scenario};
use compat_tests::standalone::Source;

use crate::columns::Column;
use crate::compilers::Compiler;
use crate::results::{Expected, Found, Outcome, Ran, milliseconds};
use crate::rows::{Profile, Revision, Row, Tool};
use crate::{mixed, refusal};

/// What is in a cell's module: one row's library, or one of each row.
#[derive(Clone, Debug)]
pub(crate) enum Libraries {
    One(Row),
    All(Vec<Row>),
}

/// The name of the row in which all others meet.
pub(crate) const MIXED: &str = "all of them";

/// A library in a module.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    pub(crate) libraries: Libraries,
    pub(crate) column: Column,
    /// Whether the quick run has it, too: long scenarios are left to those.
    pub(crate) is_quick: bool,
    /// Why it cannot be run: what one of its builds said.
    pub(crate) broken: Option<String>,
}

impl Libraries {
    /// The rows whose libraries they are.
    pub(crate) fn rows(&self) -> &[Row] {
        match self {
            Libraries::One(row) => std::slice::from_ref(row),
            Libraries::All(rows) => rows,
        }
    }

    /// Whether the quick run has them: a library of a release, by the compiler in use, as it is shipped.
    pub(crate) fn are_quick(&self, in_use: &Compiler) -> bool {
        let Libraries::One(row) = self else { return true };
        let tool = match &row.tool {
            Tool::C(_) => true,
            Tool::Rust(compiler) => compiler == in_use,
        };
        tool && row.profile == Profile::Release && matches!(row.source, Source::Release(_))
    }
}

impl fmt::Display for Libraries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Libraries::One(row) => row.fmt(f),
            Libraries::All(_) => f.write_str(MIXED),
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.libraries, self.column)
    }
}

/// Whether a module offers a revision, by what was published: a release offers what it or an earlier one froze, and the
/// working tree all of it.
pub(crate) fn offers(module: &Source, revision: Revision) -> bool {
    match module {
        Source::Tree(_) => true,
        Source::Release(release) => revision.releases().iter().any(|first| first <= release),
    }
}

/// All scenarios.
static SCENARIOS: LazyLock<Vec<Scenario>> = LazyLock::new(scenarios::all);

impl Cell {
    /// The outcome that is declared for it.
    pub(crate) fn expected(&self) -> Expected {
        match &self.libraries {
            Libraries::One(row) if !offers(&self.column.source, row.revision) => Expected::Refused,
            _ => Expected::Works,
        }
    }

    /// The scenarios that are run in it.
    pub(crate) fn scenarios(&self) -> Vec<&'static Scenario> {
        let Libraries::One(row) = &self.libraries else { return Vec::new() };
        let module = match &self.column.source {
            Source::Release(release) => Some(release),
            Source::Tree(_) => None,
        };
        let fits = |scenario: &&Scenario| {
            scenario.is_of(row.revision.library())
                && scenario.is_for(self.column.lua)
                && (self.is_quick || !scenario.is_long())
                && module.is_none_or(|release| scenario.is_since(release))
        };
        SCENARIOS.iter().filter(fits).collect()
    }

    /// A name for files.
    pub(crate) fn slug(&self) -> String {
        self.to_string().replace(' ', "-")
    }

    /// What the outcome depends on, as one checksum.
    pub(crate) fn digest(&self) -> String {
        let (place, scenarios) = (self.place(), self.scenarios());
        let mut files = vec![place.host.clone(), self.column.folder().join("dss.lua")];
        files.extend(scenarios.iter().map(|scenario| scenario.file.clone()));
        let library = workspace().join("compat-tests/scenarios/lib");
        files.extend(
            ["runner.lua", "v2.lua", "mixed.lua", "refused.lua"].iter().map(|name| library.join(name)),
        );
        if self.expected() == Expected::Refused {
            files.push(dss().to_owned());
        }
        // The module, the libraries, and whatever else a scenario may require.
        for folder in place.folders.iter().chain(&place.libraries).chain([&place.folder]) {
            files.extend(modules_in(folder));
        }
        for row in self.libraries.rows() {
            files.extend(modules_in(&row.place(self.column.lua)));
        }
        files.sort();
        files.dedup();
        let text: Vec<_> = files.iter().map(|file| file_digest(file)).collect();
        // What is due in it depends on more than files: on what the machine has, and on the compiler in use.
        let due: Vec<_> = scenarios.iter().map(|it| format!("{}: {}", it.group, it.name)).collect();
        sha256(format!("{:?} {:?} {due:?} {}", self.expected(), self.broken, text.join(" ")).as_bytes())
    }

    /// The place in which its scenarios run: the module, its library, and beside them what scenarios have for company.
    pub(crate) fn place(&self) -> Environment {
        let artefacts = self.column.artefacts();
        let company = crate::company(self.column.lua);
        let mut folders = vec![self.column.folder()];
        let mut libraries = Vec::new();
        if let Libraries::One(row) = &self.libraries {
            let place = row.place(self.column.lua);
            if row.revision == Revision::V2 { libraries.push(place) } else { folders.push(place) }
        }
        folders.push(company.clone());
        libraries.push(company);
        Environment {
            lua: self.column.lua,
            host: artefacts.host(),
            folders,
            libraries,
            folder: artefacts.folder.clone(),
        }
    }

    /// Runs it; `digest` is its own.
    pub(crate) fn run(&self, digest: String) -> Outcome {
        let begun = Instant::now();
        let (found, ran) = match (&self.broken, &self.libraries) {
            (Some(why), _) => (Found::Failed { report: why.clone() }, Vec::new()),
            (None, Libraries::All(rows)) => mixed::run(self, rows),
            (None, Libraries::One(row)) if self.expected() == Expected::Refused => refusal::run(self, row),
            (None, Libraries::One(_)) => self.run_scenarios(),
        };
        Outcome {
            row: self.libraries.to_string(),
            column: self.column.to_string(),
            digest,
            expected: self.expected(),
            found,
            ran,
            milliseconds: milliseconds(begun),
        }
    }

    fn run_scenarios(&self) -> (Found, Vec<Ran>) {
        let place = self.place();
        let ran: Vec<_> = self.scenarios().into_iter().map(|it| Ran::of(it, |it| it.run(&place))).collect();
        (Found::of(&ran), ran)
    }
}

/// The libraries and modules that lie in a folder.
fn modules_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|it| it == "so")).collect()
}

fn file_digest(file: &Path) -> String {
    fs::read(file).map_or_else(|_| "missing".to_owned(), |bytes| sha256(&bytes))
}

/// The host of a place, ready to run a script of `scenarios/lib`.
pub(crate) fn script(place: &Environment, name: &str) -> Command {
    let mut command = place.command();
    command.arg(workspace().join("compat-tests/scenarios/lib").join(name));
    command
}
