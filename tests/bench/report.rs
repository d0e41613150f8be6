//! What was measured, beside its goal: a table for people, JSON for programs.

use std::fmt::Write as _;

use serde::Serialize;

use crate::statistics::Spread;

/// One line of the table.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    unit: &'static str,
    /// OpenSSH's client, where it was measured beside.
    ssh: Option<Spread>,
    /// The hub, or what stands alone.
    value: Spread,
    /// Hub divided by OpenSSH's client, of each repetition.
    ratio: Option<Spread>,
    goal: Option<Goal>,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct Goal {
    bound: Bound,
    limit: f64,
    met: bool,
}

#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
enum Bound {
    AtMost,
    AtLeast,
}

/// Everything measured so far.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    rows: Vec<Row>,
}

impl Report {
    /// `(ssh, hub)` of each repetition; the median ratio should be at most `limit`.
    pub fn compare(&mut self, name: &str, unit: &'static str, pairs: &[(f64, f64)], limit: f64) {
        self.pairs(name, unit, pairs, Bound::AtMost, limit);
    }

    /// `(ssh, hub)` of each repetition; the median ratio should be at least `limit`.
    pub fn at_least(&mut self, name: &str, unit: &'static str, pairs: &[(f64, f64)], limit: f64) {
        self.pairs(name, unit, pairs, Bound::AtLeast, limit);
    }

    fn pairs(&mut self, name: &str, unit: &'static str, pairs: &[(f64, f64)], bound: Bound, limit: f64) {
        let ratio = Spread::of(pairs.iter().map(|(ssh, hub)| hub / ssh));
        let met = match bound {
            Bound::AtMost => ratio.median <= limit,
            Bound::AtLeast => ratio.median >= limit,
        };
        self.push(Row {
            name: name.to_owned(),
            unit,
            ssh: Some(Spread::of(pairs.iter().map(|(ssh, _)| *ssh))),
            value: Spread::of(pairs.iter().map(|(_, hub)| *hub)),
            ratio: Some(ratio),
            goal: Some(Goal { bound, limit, met }),
        });
    }

    /// A value whose median should be at most `limit`.
    pub fn limit(&mut self, name: &str, unit: &'static str, value: Spread, limit: f64) {
        let goal = Goal { bound: Bound::AtMost, limit, met: value.median <= limit };
        self.push(Row { name: name.to_owned(), unit, ssh: None, value, ratio: None, goal: Some(goal) });
    }

    /// A value without a goal.
    pub fn note(&mut self, name: &str, unit: &'static str, value: Spread) {
        self.push(Row { name: name.to_owned(), unit, ssh: None, value, ratio: None, goal: None });
    }

    fn push(&mut self, row: Row) {
        eprintln!("{}", row.line());
        self.rows.push(row);
    }

    /// A table in Markdown: medians, and least to greatest of the ratio.
    pub fn table(&self) -> String {
        let mut table =
            String::from("| | ssh | OpenPAM | ratio (least to greatest) | goal | met |\n|---|---|---|---|---|---|\n");
        for row in &self.rows {
            let _ = writeln!(table, "{}", row.line());
        }
        table
    }
}

impl Row {
    fn line(&self) -> String {
        let ssh = self.ssh.map_or(String::new(), |ssh| format!("{} {}", number(ssh.median), self.unit));
        let ratio = self.ratio.map_or(String::new(), |ratio| {
            format!("**{:.2}** ({:.2} to {:.2})", ratio.median, ratio.least, ratio.greatest)
        });
        let (goal, met) = self.goal.map_or((String::new(), ""), |goal| {
            let sign = match goal.bound {
                Bound::AtMost => '≤',
                Bound::AtLeast => '≥',
            };
            let what = if self.ratio.is_some() { " ×".to_owned() } else { format!(" {}", self.unit) };
            (format!("{sign} {}{what}", goal.limit), if goal.met { "yes" } else { "no" })
        });
        format!("| {} | {ssh} | {} {} | {ratio} | {goal} | {met} |", self.name, number(self.value.median), self.unit)
    }
}

/// Three significant digits.
fn number(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
