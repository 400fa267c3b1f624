//! The cells of the matrix: the outcome that is declared for each, and how one runs.

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

/// The libraries of a cell: the one of a row, or one of each row.
#[derive(Clone, Debug)]
pub(crate) enum Libraries {
    One(Row),
    All(Vec<Row>),
}

/// The name of the row that loads the libraries of all other rows together.
pub(crate) const MIXED: &str = "all of them";

/// One or all libraries, in one module.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    pub(crate) libraries: Libraries,
    pub(crate) column: Column,
    /// Whether the quick run includes it. Only these cells run long scenarios.
    pub(crate) is_quick: bool,
    /// The error of a build that failed, so that the cell cannot run.
    pub(crate) broken: Option<String>,
}

impl Libraries {
    /// Their rows.
    pub(crate) fn rows(&self) -> &[Row] {
        match self {
            Libraries::One(row) => std::slice::from_ref(row),
            Libraries::All(rows) => rows,
        }
    }

    /// Whether the quick run includes them: a library of a release, built by the compiler in use, with optimisation.
    pub(crate) fn are_quick(&self, in_use: &Compiler) -> bool {
        let Libraries::One(row) = self else { return true };
        let tool = match &row.tool {
            Tool::C(_) => true,
            Tool::Rust(compiler) => compiler == in_use,
        };
        // No release has a library for a preview.
        let released = row.revision.is_preview() || matches!(row.source, Source::Release(_));
        tool && row.profile == Profile::Release && released
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

/// Whether a module offers a revision. A release offers the revisions that it or an earlier release froze; the working tree
/// offers all of them.
pub(crate) fn offers(module: &Source, revision: Revision) -> bool {
    match module {
        Source::Tree(_) => true,
        Source::Release(release) => revision.releases().iter().any(|first| first <= release),
    }
}

/// All scenarios.
static SCENARIOS: LazyLock<Vec<Scenario>> = LazyLock::new(scenarios::all);

impl Cell {
    /// The outcome that is declared for this cell.
    pub(crate) fn expected(&self) -> Expected {
        match &self.libraries {
            Libraries::One(row) if !offers(&self.column.source, row.revision) => Expected::Refused,
            _ => Expected::Works,
        }
    }

    /// The scenarios that this cell runs.
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

    /// The cell's name for use in file names.
    pub(crate) fn slug(&self) -> String {
        self.to_string().replace(' ', "-")
    }

    /// A checksum of everything that the outcome depends on.
    pub(crate) fn digest(&self) -> String {
        let (environment, scenarios) = (self.environment(), self.scenarios());
        let mut files = vec![environment.host.clone(), self.column.folder().join("dss.lua")];
        files.extend(scenarios.iter().map(|scenario| scenario.file.clone()));
        let library = workspace().join("compat-tests/scenarios/lib");
        files.extend(
            ["runner.lua", "v2.lua", "mixed.lua", "refused.lua"].iter().map(|name| library.join(name)),
        );
        if self.expected() == Expected::Refused {
            files.push(dss().to_owned());
        }
        // The module, the libraries, and everything else that a scenario may require.
        for folder in environment.folders.iter().chain(&environment.libraries).chain([&environment.folder]) {
            files.extend(modules_in(folder));
        }
        for row in self.libraries.rows() {
            files.extend(modules_in(&row.folder_for(self.column.lua)));
        }
        files.sort();
        files.dedup();
        let text: Vec<_> = files.iter().map(|file| file_digest(file)).collect();
        // Which scenarios run depends on more than files: on the machine, and on the compiler in use.
        let selected: Vec<_> = scenarios.iter().map(|it| format!("{}: {}", it.group, it.name)).collect();
        sha256(format!("{:?} {:?} {selected:?} {}", self.expected(), self.broken, text.join(" ")).as_bytes())
    }

    /// The environment in which its scenarios run: the module, its library, and the extra libraries that scenarios use.
    pub(crate) fn environment(&self) -> Environment {
        let artefacts = self.column.artefacts();
        let extra = crate::extra_libraries(self.column.lua);
        let mut folders = vec![self.column.folder()];
        let mut libraries = Vec::new();
        if let Libraries::One(row) = &self.libraries {
            let library = row.folder_for(self.column.lua);
            if row.revision.is_opened_by_dss() { libraries.push(library) } else { folders.push(library) }
        }
        folders.push(extra.clone());
        libraries.push(extra);
        Environment {
            lua: self.column.lua,
            host: artefacts.host(),
            folders,
            libraries,
            folder: artefacts.folder.clone(),
        }
    }

    /// Runs the cell. `digest` is the result of [`Cell::digest`].
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
            left_out: Vec::new(),
            milliseconds: milliseconds(begun),
        }
    }

    fn run_scenarios(&self) -> (Found, Vec<Ran>) {
        let environment = self.environment();
        let ran: Vec<_> =
            self.scenarios().into_iter().map(|it| Ran::of(it, |it| it.run(&environment))).collect();
        (Found::of(&ran), ran)
    }
}

/// The libraries and modules in a folder.
fn modules_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|it| it == "so")).collect()
}

fn file_digest(file: &Path) -> String {
    fs::read(file).map_or_else(|_| "missing".to_owned(), |bytes| sha256(&bytes))
}

/// A command that runs a script of `scenarios/lib` in an environment.
pub(crate) fn script(environment: &Environment, name: &str) -> Command {
    let mut command = environment.command();
    command.arg(workspace().join("compat-tests/scenarios/lib").join(name));
    command
}
