//! The command line.

use std::path::PathBuf;

use clap::Parser;

/// Runs libraries of every revision, release and compiler in modules of every release and Lua, and shows which work and
/// which are refused.
///
/// Without an option, `--quick` is assumed. Results are kept in the target folder: an interrupted run continues where it
/// stopped, and a cell is not run again if nothing changed for it.
#[derive(Parser, Debug)]
#[command(name = "cargo matrix", bin_name = "cargo matrix", version)]
pub(crate) struct Args {
    /// Test the working tree's module in six Luas, with a library of each revision from its frozen crates, built by the
    /// compiler in use.
    #[arg(long, conflicts_with = "all")]
    pub(crate) quick: bool,

    /// Test the modules of every release and of the working tree, with libraries of every release of each revision, all
    /// compilers, debug and release.
    #[arg(long)]
    pub(crate) all: bool,

    /// Unpack the compilers of Debian's packages into the target folder, without installing them, and exit.
    #[arg(long)]
    pub(crate) fetch_compilers: bool,

    /// Build the module, libraries, host and demo for Windows with Lua 5.4, and run the scenarios and the demo, on Linux under Wine. Nothing is
    /// installed.
    #[arg(long, conflicts_with_all = ["all", "quick", "tree", "list", "fresh", "only"])]
    pub(crate) windows: bool,

    /// Build the module, libraries and host for another platform (i686, musl, aarch64, s390x, armv7, or all that there are), and run the scenarios of Lua
    /// 5.1 and 5.4. For macos and msvc, only compile the module. Nothing is installed but Rust's standard library.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["all", "quick", "windows", "tree", "list", "fresh", "only"])]
    pub(crate) target: Option<String>,

    /// List the cells and their declared outcomes without running them.
    #[arg(long)]
    pub(crate) list: bool,

    /// Run all cells, including those that already have a result.
    #[arg(long)]
    pub(crate) fresh: bool,

    /// How many cells run at a time.
    #[arg(short, long, default_value_t = std::thread::available_parallelism().map_or(2, usize::from))]
    pub(crate) jobs: usize,

    /// The folder for `matrix.md`, `junit.xml` and `index.html`. The default is target/matrix/report.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) report: Option<PathBuf>,

    /// Use the module and libraries of another working tree. The matrix calls them by the name of its folder.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) tree: Option<PathBuf>,

    /// Run only the cells whose names contain all of these texts: `v2 1.63 lua54`.
    #[arg(value_name = "TEXT")]
    pub(crate) only: Vec<String>,
}
