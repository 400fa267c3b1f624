//! The operations, and what is made to fail in each.

use crate::Job;

/// One operation: a function of a file in `fixtures/fail-alloc/operations`.
pub(crate) struct Operation {
    pub(crate) group: &'static str,
    pub(crate) name: &'static str,
}

impl Operation {
    pub(crate) fn title(&self) -> String {
        format!("{}.{}", self.group, self.name)
    }
}

/// What is made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The module's own allocations.
    Module,
    /// The same, each in a process of its own.
    Fresh,
    /// All that Lua's allocator is asked for.
    Lua,
    /// The n-th of each of both, and all after it.
    Both,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Module | Kind::Fresh => "module",
            Kind::Lua => "lua",
            Kind::Both => "both",
        }
    }
}

const fn group<const N: usize>(group: &'static str, names: [&'static str; N]) -> [Operation; N] {
    let mut operations = [const { Operation { group: "", name: "" } }; N];
    let mut at = 0;
    while at < N {
        operations[at] = Operation { group, name: names[at] };
        at += 1;
    }
    operations
}

static C1V0: [Operation; 14] = group(
    "c1v0",
    [
        "register",
        "deliver",
        "deliver_and_send",
        "deliver_and_wake",
        "deliver_and_wait",
        "poll",
        "poll_what_waits",
        "dispatch",
        "dispatch_bounded",
        "run",
        "wait",
        "reply",
        "drop_replies",
        "unregister",
    ],
);
static V1: [Operation; 5] = group("v1", ["register", "deliver", "dispatch", "ask_and_reply", "unregister"]);
static V2: [Operation; 26] = group(
    "v2",
    [
        "deliver",
        "deliver_nested",
        "deliver_often",
        "deliver_object",
        "deliver_many",
        "deliver_keyed",
        "deliver_dropping",
        "deliver_waiting",
        "deliver_async",
        "request",
        "request_with_deadline",
        "request_that_fails",
        "request_here",
        "request_by_poll",
        "reply",
        "reply_fails",
        "defer",
        "task_that_awaits",
        "task_that_returns",
        "dispatch",
        "call",
        "call_badly",
        "collect_callbacks",
        "cancel",
        "keep_alive",
        "unregister",
    ],
);
static C2V0: [Operation; 12] = group(
    "c2v0",
    [
        "deliver",
        "deliver_object",
        "deliver_many",
        "channel",
        "wait",
        "wait_with_deadline",
        "request",
        "request_with_deadline",
        "call",
        "elsewhere",
        "dispatch",
        "unregister",
    ],
);
static MODULE: [Operation; 23] = group(
    "module",
    [
        "require",
        "load_v2",
        "load_c2v0",
        "load_by_searcher",
        "load_again",
        "load_refused",
        "load_nowhere",
        "load_no_name",
        "load_no_string",
        "load_no_version",
        "setport",
        "setport_refused",
        "seterrorhandler_refused",
        "listen",
        "getfd",
        "notify",
        "handlers",
        "searcher",
        "libraries",
        "stats",
        "metrics",
        "figures",
        "reporterror",
    ],
);
static CLOSING: [Operation; 1] = group("closing", ["close"]);

/// Operations of which something is done once in a process.
const FRESH: [&str; 7] = [
    "module.require",
    "module.load_v2",
    "module.load_c2v0",
    "module.getfd",
    "c1v0.register",
    "v1.register",
    "v2.request_with_deadline",
];

/// All operations.
pub(crate) fn all() -> impl Iterator<Item = &'static Operation> {
    C1V0.iter().chain(&V1).chain(&V2).chain(&C2V0).chain(&MODULE).chain(&CLOSING)
}

/// What to run: the longest first, so that no worker ends with one alone.
pub(crate) fn jobs() -> impl Iterator<Item = Job> {
    const OF_EACH: [(Kind, bool); 6] = [
        (Kind::Fresh, false),
        (Kind::Lua, false),
        (Kind::Lua, true),
        (Kind::Both, true),
        (Kind::Module, false),
        (Kind::Module, true),
    ];
    let fits = |job: &Job| job.kind != Kind::Fresh || FRESH.contains(&job.operation.title().as_str());
    OF_EACH
        .into_iter()
        .flat_map(|(kind, ever)| all().map(move |operation| Job { operation, kind, ever }))
        .filter(fits)
}
