//! The command line.

use std::path::PathBuf;

use clap::Parser;

/// Libraries of every revision, release and compiler, in modules of every release and Lua: which works, and which is
/// refused.
///
/// Without an option it is as with `--quick`. Results are kept in the target folder: a run that was broken off goes on
/// where it was, and a cell of which nothing changed is not run again.
#[derive(Parser, Debug)]
#[command(name = "cargo matrix", bin_name = "cargo matrix", version)]
pub(crate) struct Args {
    /// The working tree's module in six Luas, a library of each revision from its frozen crates, the compiler in use.
    #[arg(long, conflicts_with = "all")]
    pub(crate) quick: bool,

    /// Every release's module and the working tree's, every release of each revision, all compilers, debug and release.
    #[arg(long)]
    pub(crate) all: bool,

    /// Unpack the compilers of Debian's packages into the target folder, without installing them, and end.
    #[arg(long)]
    pub(crate) fetch_compilers: bool,

    /// Build module, libraries and host for Windows, and run the scenarios of Lua 5.4 under Wine; nothing is installed.
    #[arg(long, conflicts_with_all = ["all", "quick", "tree", "list", "fresh", "only"])]
    pub(crate) windows: bool,

    /// List the cells and their declared outcomes, and run none.
    #[arg(long)]
    pub(crate) list: bool,

    /// Run cells again that have a result already.
    #[arg(long)]
    pub(crate) fresh: bool,

    /// How many cells run at a time.
    #[arg(short, long, default_value_t = std::thread::available_parallelism().map_or(2, usize::from))]
    pub(crate) jobs: usize,

    /// The folder for `matrix.md`, `junit.xml` and `index.html`; target/matrix/report where it is not given.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) report: Option<PathBuf>,

    /// Take another working tree's module and libraries than this one's; they are called by its folder's name.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) tree: Option<PathBuf>,

    /// Run the cells alone in whose names each of these texts is: `v2 1.63 lua54`.
    #[arg(value_name = "TEXT")]
    pub(crate) only: Vec<String>,
}
