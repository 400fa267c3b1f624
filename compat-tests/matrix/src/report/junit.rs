//! The report as JUnit XML: a suite for each row, a case for each cell, and one suite for what is published.

use std::time::Duration;

use quick_junit::{NonSuccessKind, SerializeError, TestCase, TestCaseStatus, TestSuite};

use super::{Report, words};

pub(super) fn document(report: &Report) -> Result<String, SerializeError> {
    let mut whole = quick_junit::Report::new("matrix");
    let mut published = TestSuite::new("what is published");
    let mut case = TestCase::new("unchanged", TestCaseStatus::success());
    if !report.differences.is_empty() {
        let all: Vec<_> = report.differences.iter().map(ToString::to_string).collect();
        case.status = TestCaseStatus::non_success(NonSuccessKind::Failure);
        case.status.set_message(all.join("\n"));
    }
    published.add_test_case(case);
    whole.add_test_suite(published);
    for (row, cells) in report.rows.iter().zip(&report.grid) {
        let mut suite = TestSuite::new(row.as_str());
        for outcome in cells.iter().flatten() {
            let mut case = TestCase::new(outcome.column.as_str(), TestCaseStatus::success());
            case.set_classname(row.as_str()).set_time(Duration::from_millis(outcome.milliseconds));
            if outcome.is_as_declared() {
                case.set_system_out(words(outcome));
            } else {
                case.status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                case.status.set_message(words(outcome));
                let reports: Vec<_> = outcome
                    .ran
                    .iter()
                    .filter_map(|ran| Some(format!("{}: {}", ran.name, ran.report.as_ref()?)))
                    .collect();
                case.status.set_description(reports.join("\n"));
            }
            suite.add_test_case(case);
        }
        whole.add_test_suite(suite);
    }
    whole.to_string()
}
