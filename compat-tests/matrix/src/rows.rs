//! The rows of the matrix: libraries. Each has a revision, the release of its crate, a compiler, and a profile.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use compat_tests::artefacts::{Artefacts, copy, extension, try_succeed, workspace};
use compat_tests::c::{self, CModules};
use compat_tests::c2v0::Library;
use compat_tests::frozen;
use compat_tests::luas::Lua;
use compat_tests::standalone::{Lock, Source, Standalone};
use semver::Version;

use crate::compilers::Compiler;
use crate::relink::relink_if_foreign;

/// A revision of the API, and for v1 the layer that the library is written with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Revision {
    /// 1.0's C interface.
    C1v0,
    /// v1 without `mlua`.
    V1,
    /// v1 with the values of `mlua`.
    V1Mlua,
    /// v2.
    V2,
    /// The C interface c2v0, a preview.
    C2v0,
}

impl Revision {
    pub(crate) const ALL: [Revision; 5] =
        [Revision::C1v0, Revision::V1, Revision::V1Mlua, Revision::V2, Revision::C2v0];

    /// The name in `libraries()` of a module and in the sentence of a refusal.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Revision::C1v0 => "c1v0",
            Revision::V1 | Revision::V1Mlua => "v1",
            Revision::V2 => "v2",
            Revision::C2v0 => "c2v0",
        }
    }

    /// Whether it is a preview: no release has frozen it.
    pub(crate) fn is_preview(self) -> bool {
        self == Revision::C2v0
    }

    /// Whether DSS finds and opens its libraries, instead of Lua.
    pub(crate) fn is_opened_by_dss(self) -> bool {
        matches!(self, Revision::V2 | Revision::C2v0)
    }

    /// Whether its libraries are compiled by the C compiler.
    fn is_in_c(self) -> bool {
        matches!(self, Revision::C1v0 | Revision::C2v0)
    }

    /// The contract crate of its libraries.
    fn package(self) -> &'static str {
        match self {
            Revision::C1v0 => "dss-abi-c1v0",
            Revision::V1 | Revision::V1Mlua => "dss-abi-v1",
            Revision::V2 => "dss-abi-v2",
            Revision::C2v0 => "dss-abi-c2v0",
        }
    }

    /// The releases that froze a version of its crate.
    pub(crate) fn releases(self) -> Vec<Version> {
        frozen::crates().into_iter().filter(|it| it.name == self.package()).map(|it| it.release).collect()
    }

    /// The oldest compiler that can build its libraries: the second number of the compiler's version.
    fn oldest(self) -> u64 {
        match self {
            Revision::V1Mlua => 88,
            _ => 63,
        }
    }

    /// Whether its libraries are built separately for each Lua.
    pub(crate) fn is_per_lua(self) -> bool {
        matches!(self, Revision::C1v0 | Revision::V1Mlua)
    }

    /// The Lua name of the library that represents it in the matrix.
    pub(crate) fn library(self) -> &'static str {
        match self {
            Revision::C1v0 => "probe",
            Revision::V1 => "plain_v1",
            Revision::V1Mlua => "probe_v1",
            Revision::V2 => "probe_v2",
            Revision::C2v0 => "probe_c2v0",
        }
    }

    /// The folder of that library in `fixtures`.
    fn fixture(self) -> &'static str {
        match self {
            Revision::C1v0 => "probe",
            Revision::V1 => "plain-v1",
            Revision::V1Mlua => "probe-v1",
            Revision::V2 => "probe-v2",
            Revision::C2v0 => "probe-c2v0",
        }
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Revision::V1Mlua { "v1 mlua" } else { self.name() })
    }
}

/// How a library is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Profile {
    Debug,
    Release,
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Profile::Debug { "debug" } else { "release" })
    }
}

/// The compiler of a library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    /// The C compiler, by its name.
    C(String),
    /// A Rust compiler.
    Rust(Compiler),
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Tool::C(name) => f.write_str(name),
            Tool::Rust(compiler) => compiler.fmt(f),
        }
    }
}

/// A row: how one library is built.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) revision: Revision,
    pub(crate) source: Source,
    pub(crate) tool: Tool,
    pub(crate) profile: Profile,
}

/// The name of a source in the matrix.
pub(crate) fn source_name(source: &Source) -> String {
    match source {
        Source::Release(version) => version.to_string(),
        Source::Tree(tree) if tree == workspace() => "tree".to_owned(),
        // Another tree needs its own folder.
        Source::Tree(tree) => tree.file_name().unwrap_or(tree.as_os_str()).to_string_lossy().into_owned(),
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Row { revision, source, tool, profile } = self;
        write!(f, "{revision} {} {tool} {profile}", source_name(source))
    }
}

/// All rows: each revision in each of its `sources`, with each compiler that can build it.
pub(crate) fn rows(
    sources: &dyn Fn(Revision) -> Vec<Source>,
    compilers: &[Compiler],
    profiles: &[Profile],
) -> Vec<Row> {
    let mut rows = Vec::new();
    for revision in Revision::ALL {
        for source in sources(revision) {
            let tools: Vec<Tool> = match revision {
                in_c if in_c.is_in_c() => vec![Tool::C(c::compiler_name())],
                _ => compilers
                    .iter()
                    .filter(|compiler| compiler.release.minor >= revision.oldest())
                    .map(|compiler| Tool::Rust(compiler.clone()))
                    .collect(),
            };
            for tool in tools {
                for profile in profiles {
                    // The `mlua` layer is built once for each Lua, so only the profile that authors ship is tested.
                    if revision == Revision::V1Mlua && *profile == Profile::Debug {
                        continue;
                    }
                    let (source, tool) = (source.clone(), tool.clone());
                    rows.push(Row { revision, source, tool, profile: *profile });
                }
            }
        }
    }
    rows
}

impl Row {
    /// The row's name for use in file names.
    pub(crate) fn slug(&self) -> String {
        self.to_string().replace(' ', "-")
    }

    fn folder(&self) -> PathBuf {
        crate::folder().join("libraries").join(self.slug())
    }

    /// The folder that its library for `lua` is built into.
    pub(crate) fn folder_for(&self, lua: Lua) -> PathBuf {
        if self.revision.is_per_lua() { self.folder().join(lua.0) } else { self.folder() }
    }

    /// The file of its library for `lua`.
    pub(crate) fn file(&self, lua: Lua) -> PathBuf {
        self.folder_for(lua).join(format!("{}.so", self.revision.library()))
    }

    /// The file of its library for a state that also loads the libraries of other rows. Those that DSS opens then need different
    /// names.
    pub(crate) fn file_among_others(&self, lua: Lua) -> PathBuf {
        if self.revision.is_opened_by_dss() {
            self.folder_for(lua).join(format!("{}.so", self.slug()))
        } else {
            self.file(lua)
        }
    }

    /// Builds its library for `lua`.
    ///
    /// # Errors
    /// The build failed: what the compiler said.
    pub(crate) fn build(&self, lua: Lua) -> Result<(), String> {
        fs::create_dir_all(self.folder_for(lua))
            .map_err(|error| format!("{}: {error}", self.folder_for(lua).display()))?;
        match &self.tool {
            Tool::C(_) if self.revision == Revision::C2v0 => self.build_c2v0(lua),
            Tool::C(_) => self.build_c(lua),
            Tool::Rust(compiler) => self.build_rust(compiler, lua),
        }
    }

    fn build_c(&self, lua: Lua) -> Result<(), String> {
        let include = try_succeed(std::process::Command::new(Artefacts::of(lua).host()).arg("--include"))?;
        let abi = match &self.source {
            Source::Tree(tree) => tree.join("dss-abi/c1v0"),
            Source::Release(release) => unpacked("dss-abi-c1v0", release),
        };
        let level = if self.profile == Profile::Debug { "-O0" } else { "-O2" };
        let modules = CModules {
            folder: &self.folder_for(lua),
            ending: "so",
            include: Path::new(include.trim()),
            abi: &abi,
            flag: Some(level),
        };
        modules.c1v0(&c::try_compile)
    }

    fn build_c2v0(&self, lua: Lua) -> Result<(), String> {
        let include = match &self.source {
            Source::Tree(tree) => tree.join("dss-abi/c2v0/include"),
            Source::Release(release) => unpacked("dss-abi-c2v0", release).join("include"),
        };
        let level = if self.profile == Profile::Debug { "-O0" } else { "-O2" };
        let named = format!("-DPROBE_NAME=\"{}\"", self.slug());
        let probe = Library::named(self.revision.library()).expect("it is one of them");
        probe.build_c(&self.file(lua), &include, &[level], &[])?;
        probe.build_c(&self.file_among_others(lua), &include, &[level, &named], &[])
    }

    fn build_rust(&self, compiler: &Compiler, lua: Lua) -> Result<(), String> {
        let fixture = self.revision.fixture();
        let kind = if self.revision == Revision::V1Mlua { "mlua" } else { "plain" };
        let lock = if self.revision == Revision::V1Mlua { Lock::Ours } else { Lock::Oldest };
        let top = crate::folder().join("standalone").join(format!("{}-{fixture}", source_name(&self.source)));
        let member = workspace().join("compat-tests/fixtures").join(fixture);
        let standalone = Standalone::lay_out(top, &self.source, &[member], lock);
        if compiler.wants_vendored() {
            vendor(&standalone)?;
        }
        let cargo_target = crate::folder().join("cargo").join(format!("{kind}-{compiler}").replace(' ', "-"));
        let build = |features: &[&str], name: Option<String>, to: PathBuf| -> Result<(), String> {
            let mut build = compiler.cargo();
            build.args(["build", "--quiet", "--package", &format!("dss-{fixture}")]).args(features);
            if self.profile == Profile::Release {
                build.arg("--release");
            }
            if compiler.wants_vendored() {
                build.arg("--offline").args(["--config", ".cargo/vendored.toml"]);
            }
            let file = format!("lib{}.{}", self.revision.library(), extension());
            let built = cargo_target.join(self.profile.to_string()).join(file);
            relink_if_foreign(&built, &format!("{} {features:?} {name:?}", source_name(&self.source)));
            if let Some(name) = name {
                build.env("DSS_PROBE_NAME", name);
            }
            build.current_dir(&standalone.folder).env("CARGO_TARGET_DIR", &cargo_target);
            try_succeed(&mut build)?;
            copy(&built, &to);
            Ok(())
        };
        match self.revision {
            Revision::V1Mlua => build(&["--no-default-features", "--features", lua.0], None, self.file(lua)),
            Revision::V2 => {
                build(&[], None, self.file(lua))?;
                build(&["--features", "named"], Some(self.slug()), self.file_among_others(lua))
            }
            _ => build(&[], None, self.file(lua)),
        }
    }
}

/// Unpacks a frozen crate and returns its folder.
pub(crate) fn unpacked(package: &str, release: &Version) -> PathBuf {
    let folder = crate::folder().join("unpacked").join(release.to_string());
    let krate = frozen::crates_of(release).into_iter().find(|it| it.name == package);
    let krate = krate.expect("the row's release has the row's revision");
    fs::create_dir_all(&folder).expect("the target folder can be written to");
    frozen::unpack(&krate, &folder)
}

/// Vendors the dependencies of a standalone workspace into one shared folder. Cargo 1.65 cannot use today's registry.
fn vendor(standalone: &Standalone) -> Result<(), String> {
    let folder = crate::folder().join("vendor");
    let done = standalone.folder.join(".cargo/vendored.toml");
    let lock = standalone.folder.join("Cargo.lock.from");
    let changed = |path: &Path| fs::metadata(path).and_then(|it| it.modified()).ok();
    if folder.exists() && changed(&done) > changed(&lock) {
        return Ok(());
    }
    let mut vendor = compat_tests::artefacts::cargo();
    vendor.current_dir(&standalone.folder).args(["vendor", "--quiet", "--no-delete"]).arg(&folder);
    try_succeed(&mut vendor)?;
    fs::create_dir_all(standalone.folder.join(".cargo")).map_err(|error| error.to_string())?;
    let text = format!(
        "[source.crates-io]\nreplace-with = \"vendored\"\n[source.vendored]\ndirectory = {:?}\n",
        folder.display().to_string()
    );
    fs::write(done, text).map_err(|error| error.to_string())
}
