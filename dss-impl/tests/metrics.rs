//! `metrics`: the text is held against the format's own rules, by a reader that knows only those.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use dss_impl::capacity::{Limits, Policy};
use dss_impl::histogram::Histogram;
use dss_impl::library::LibraryInfo;
use dss_impl::metrics;

fn text(libraries: &[LibraryInfo]) -> String {
    metrics::text(libraries).expect("there is memory")
}

fn library(name: Option<&str>, revision: &'static str) -> LibraryInfo {
    LibraryInfo {
        name: name.map(Arc::from),
        revision,
        version: None,
        file: None,
        keeps_alive: true,
        queued: 3,
        bytes: 0,
        limits: None,
        high_water: 0,
        waiting: 1,
        delivered: 17,
        replied: 5,
        failed: 7,
        cancelled: 2,
        refused: 1,
        dropped: 0,
        coalesced: 0,
        timed_out: 0,
        channels: Vec::new(),
        waits: None,
    }
}

fn bounded(name: &str) -> LibraryInfo {
    let mut waits = Histogram::default();
    for nanoseconds in [1, 1000, 1001, 64_000, 2_000_000, u64::MAX / 4] {
        waits.add(nanoseconds);
    }
    LibraryInfo {
        version: Some(Arc::from("1.2.3")),
        keeps_alive: false,
        bytes: 4096,
        limits: Some(Limits { items: 10, bytes: 1 << 20, policy: Policy::Refuse }),
        high_water: 9,
        dropped: 4,
        coalesced: 6,
        timed_out: 8,
        waits: Some(waits),
        ..library(Some(name), "v2")
    }
}

type Labels = Vec<(String, String)>;

#[derive(Debug)]
struct Sample {
    name: String,
    labels: Labels,
    value: f64,
}

#[derive(Debug, Default)]
struct Family {
    kind: String,
    unit: String,
    help: String,
    samples: Vec<Sample>,
}

/// Reads OpenMetrics text, or panics with what is wrong about it.
fn read(text: &str) -> HashMap<String, Family> {
    let text = text.strip_suffix("# EOF\n").expect("the end is marked");
    assert!(text.is_empty() || text.ends_with('\n'), "each line ends");
    let mut families: HashMap<String, Family> = HashMap::new();
    let mut now = String::new();
    for line in text.lines() {
        assert!(!line.is_empty() && line.trim() == line, "no space around: {line:?}");
        if let Some(rest) = line.strip_prefix("# ") {
            let mut words = rest.splitn(3, ' ');
            let (word, name, text) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
            if word == "TYPE" {
                assert!(!families.contains_key(name), "a family's lines stand together: {line}");
                now = name.to_owned();
                families.insert(now.clone(), Family { kind: text.to_owned(), ..Family::default() });
                continue;
            }
            let family = families.get_mut(&now).expect("TYPE comes first");
            assert!(
                name == now && family.samples.is_empty(),
                "said of its own family, before its samples: {line}"
            );
            let field = match word {
                "UNIT" => &mut family.unit,
                "HELP" => &mut family.help,
                _ => panic!("no such word: {line}"),
            };
            assert!(field.is_empty() && !text.is_empty(), "said once: {line}");
            text.clone_into(field);
        } else {
            let sample = sample(line);
            let family = families.get_mut(&now).expect("a sample has a family");
            let suffix = sample.name.strip_prefix(&now).unwrap_or_else(|| panic!("another family's: {line}"));
            let known: &[&str] = match family.kind.as_str() {
                "gauge" => &[""],
                "counter" => &["_total"],
                "histogram" => &["_bucket", "_count", "_sum"],
                other => panic!("no such type: {other}"),
            };
            assert!(known.contains(&suffix), "{line} in a {}", family.kind);
            family.samples.push(sample);
        }
    }
    for (name, family) in &families {
        assert!(is_name(name) && !family.help.is_empty(), "{name}");
        let last = name.rsplit('_').next().unwrap();
        assert!(family.unit.is_empty() || family.unit == last, "{name} ends with its unit, {}", family.unit);
        assert!(
            !["total", "count", "sum", "bucket", "info"].contains(&last),
            "{name} has a suffix that is not its own"
        );
        let mut seen = HashSet::new();
        for sample in &family.samples {
            assert!(seen.insert((&sample.name, &sample.labels)), "told twice: {sample:?}");
            assert!(family.kind == "gauge" || sample.value >= 0.0, "{sample:?}");
        }
    }
    families
}

fn is_name(text: &str) -> bool {
    let inside = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && text.chars().all(inside)
}

fn sample(line: &str) -> Sample {
    let (name, rest) = line.split_once('{').expect("every sample has labels here");
    assert!(is_name(name), "{line}");
    let mut labels = Labels::new();
    let mut rest = rest;
    loop {
        let (label, after) = rest.split_once("=\"").expect("a label has a value");
        assert!(is_name(label), "{line}");
        let (mut value, mut characters) = (String::new(), after.char_indices());
        let end = loop {
            match characters.next().expect("the value ends").1 {
                '"' => break characters.offset(),
                '\\' => value.push(match characters.next().expect("the value ends").1 {
                    'n' => '\n',
                    c @ ('"' | '\\') => c,
                    other => panic!("no such escape: {other}"),
                }),
                c => value.push(c),
            }
        };
        assert!(!labels.iter().any(|(known, _)| known == label), "{line}");
        labels.push((label.to_owned(), value));
        rest = &after[end..];
        match rest.split_at_checked(1).expect("the labels end") {
            (",", after) => rest = after,
            ("}", after) => {
                rest = after;
                break;
            }
            _ => panic!("{line}"),
        }
    }
    let value = rest.strip_prefix(' ').expect("one space");
    assert!(!value.contains(' '), "no time: {line}");
    Sample { name: name.to_owned(), labels, value: value.parse().unwrap_or_else(|_| panic!("{line}")) }
}

#[test]
fn without_a_library_there_are_families_and_no_samples() {
    let families = read(&text(&[]));
    assert!(families.len() > 10);
    assert!(families.values().all(|family| family.samples.is_empty()));
}

#[test]
fn figures_are_told_under_the_librarys_name() {
    let text = text(&[library(Some("timer"), "c1v0"), bounded("fswatch")]);
    let has = |line: &str| assert!(text.lines().any(|it| it == line), "{line} is missing:\n{text}");
    has("darksidesync_queued{library=\"timer\",revision=\"c1v0\"} 3");
    has("darksidesync_keeps_alive{library=\"timer\",revision=\"c1v0\"} 1");
    has("darksidesync_keeps_alive{library=\"fswatch\",revision=\"v2\"} 0");
    has("darksidesync_delivered_total{library=\"fswatch\",revision=\"v2\"} 17");
    has("darksidesync_queued_bytes{library=\"fswatch\",revision=\"v2\"} 4096");
    has("darksidesync_queued_highwater{library=\"fswatch\",revision=\"v2\"} 9");
    has("darksidesync_coalesced_total{library=\"fswatch\",revision=\"v2\"} 6");
    has("darksidesync_timed_out_total{library=\"fswatch\",revision=\"v2\"} 8");
    let families = read(&text);
    // What a library has no bound for is not told as nothing.
    assert_eq!(families["darksidesync_queued_bytes"].samples.len(), 1);
    assert_eq!(families["darksidesync_queued_highwater"].samples.len(), 1);
    assert!(text.ends_with("\n# EOF\n"));
}

#[test]
fn the_histogram_is_cumulative_and_in_seconds() {
    let text = text(&[bounded("fswatch")]);
    let families = read(&text);
    let family = &families["darksidesync_wait_seconds"];
    assert_eq!((family.kind.as_str(), family.unit.as_str()), ("histogram", "seconds"));
    let buckets: Vec<(f64, f64)> = family
        .samples
        .iter()
        .filter(|sample| sample.name.ends_with("_bucket"))
        .map(|sample| (sample.labels.last().unwrap().1.parse().unwrap(), sample.value))
        .collect();
    assert!(buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1), "{buckets:?}");
    assert_eq!(buckets.first(), Some(&(1e-6, 2.0)));
    assert_eq!(buckets.last(), Some(&(f64::INFINITY, 6.0)));
    let of = |suffix: &str| family.samples.iter().find(|sample| sample.name.ends_with(suffix)).unwrap().value;
    assert_eq!(of("_count"), 6.0);
    assert!(of("_sum") > 4e9);
    for le in ["1e-06", "6.4e-05", "0.000128", "0.001024", "1.048576", "67.108864", "+Inf"] {
        assert!(text.contains(&format!("le=\"{le}\"}}")), "{le} is missing:\n{text}");
    }
}

#[test]
fn names_are_escaped() {
    let name = "a \"quote\", a \\ and a\nline";
    let text = text(&[bounded(name)]);
    assert!(text.contains(r#"{library="a \"quote\", a \\ and a\nline",revision="v2"}"#), "{text}");
    for family in read(&text).values() {
        assert!(family.samples.iter().all(|sample| sample.labels[0].1 == name));
    }
}

#[test]
fn nothing_is_told_twice() {
    let libraries = [
        library(None, "c1v0"),
        library(None, "c1v0"),
        library(Some("timer#2"), "c1v0"),
        library(Some("timer"), "c1v0"),
        library(Some("timer"), "c1v0"),
        library(Some("timer"), "c1v0"),
        library(Some("timer"), "v1"),
    ];
    let families = read(&text(&libraries));
    let samples = &families["darksidesync_queued"].samples;
    let names: Vec<_> = samples.iter().map(|sample| sample.labels[0].1.as_str()).collect();
    assert_eq!(names, ["unnamed", "unnamed#2", "timer#2", "timer", "timer#3", "timer#4", "timer"]);
}

/// Prints what another reader can be given: `cargo test -p dss-impl --test metrics -- --ignored --nocapture`.
#[test]
#[ignore = "for eyes, and other readers"]
fn show() {
    print!("{}", text(&[library(Some("timer"), "c1v0"), library(None, "c1v0"), bounded("a \"b\"\\\n")]));
}
