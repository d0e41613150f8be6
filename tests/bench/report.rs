//! What was measured, beside its goal: a table for people, JSON for programs.

use std::fmt::Write as _;

use serde::Serialize;

use crate::statistics::Spread;

/// One line of the table.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    unit: &'static str,
    /// What was measured beside: OpenSSH's client, or a hub that does not record.
    beside: Option<Spread>,
    /// The hub, or what stands alone.
    value: Spread,
    /// Hub divided by what was beside, of each repetition.
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
    /// `(beside, hub)` of each repetition; the median ratio should be at most `limit`.
    pub fn compare(&mut self, name: &str, unit: &'static str, pairs: &[(f64, f64)], limit: f64) {
        self.pairs(name, unit, pairs, Bound::AtMost, limit);
    }

    /// `(ssh, hub)` of each repetition; the median ratio should be at least `limit`.
    pub fn at_least(&mut self, name: &str, unit: &'static str, pairs: &[(f64, f64)], limit: f64) {
        self.pairs(name, unit, pairs, Bound::AtLeast, limit);
    }

    /// `(without, with)` of each repetition, without a goal of its own.
    pub fn contrast(&mut self, name: &str, unit: &'static str, pairs: &[(f64, f64)]) {
        self.push(Row {
            name: name.to_owned(),
            unit,
            beside: Some(Spread::of(pairs.iter().map(|(without, _)| *without))),
            value: Spread::of(pairs.iter().map(|(_, with)| *with)),
            ratio: Some(Spread::of(pairs.iter().map(|(without, with)| with / without))),
            goal: None,
        });
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
            beside: Some(Spread::of(pairs.iter().map(|(ssh, _)| *ssh))),
            value: Spread::of(pairs.iter().map(|(_, hub)| *hub)),
            ratio: Some(ratio),
            goal: Some(Goal { bound, limit, met }),
        });
    }

    /// A value whose median should be at most `limit`.
    pub fn limit(&mut self, name: &str, unit: &'static str, value: Spread, limit: f64) {
        let goal = Goal { bound: Bound::AtMost, limit, met: value.median <= limit };
        self.push(Row { name: name.to_owned(), unit, beside: None, value, ratio: None, goal: Some(goal) });
    }

    /// A value whose median should be at least `limit`.
    pub fn least(&mut self, name: &str, unit: &'static str, value: Spread, limit: f64) {
        let goal = Goal { bound: Bound::AtLeast, limit, met: value.median >= limit };
        self.push(Row { name: name.to_owned(), unit, beside: None, value, ratio: None, goal: Some(goal) });
    }

    /// A value without a goal.
    pub fn note(&mut self, name: &str, unit: &'static str, value: Spread) {
        self.push(Row { name: name.to_owned(), unit, beside: None, value, ratio: None, goal: None });
    }

    fn push(&mut self, row: Row) {
        eprintln!("{}", row.line());
        self.rows.push(row);
    }

    /// A table in Markdown: medians, and least to greatest of the ratio.
    pub fn table(&self) -> String {
        let mut table = String::from(
            "| | ssh, or not recorded | OpenPAM | ratio (least to greatest) | goal | met |\n|---|---|---|---|---|---|\n",
        );
        for row in &self.rows {
            let _ = writeln!(table, "{}", row.line());
        }
        table
    }
}

impl Row {
    fn line(&self) -> String {
        let beside = self.beside.map_or(String::new(), |beside| format!("{} {}", number(beside.median), self.unit));
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
        format!("| {} | {beside} | {} {} | {ratio} | {goal} | {met} |", self.name, number(self.value.median), self.unit)
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
