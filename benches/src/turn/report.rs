//! The tables that a run ends with.

use std::fmt;

/// The middle one.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// A figure of coturn, which may be missing, and ours.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    /// None where coturn isn't installed.
    pub coturn: Option<f64>,
    /// Ours.
    pub ours: f64,
}

/// What ours shall be.
#[derive(Clone, Copy, Debug)]
pub enum Goal {
    /// No more than this share of coturn's.
    Share(f64),
    /// No more than this.
    AtMost(f64),
    /// None is set.
    None,
}

/// Rows in the order of their measurement.
#[derive(Debug, Default)]
pub struct Report {
    packets: Vec<String>,
    others: Vec<String>,
}

impl Report {
    /// Processor time a relayed packet, in microseconds, with the bare loops' where they were measured.
    pub fn packet(&mut self, load: &str, pair: Pair, floors: Option<[f64; 2]>, goal: Goal) {
        let [each, napping] = match floors {
            Some(floors) => floors.map(|floor| format!("{floor:.2}")),
            None => [String::new(), String::new()],
        };
        self.packets.push(format!("| {load} | {} | {each} | {napping} |", columns(pair, 2, goal)));
    }

    /// Any other figure.
    pub fn row(&mut self, what: &str, unit: &str, pair: Pair, goal: Goal) {
        self.others.push(format!("| {what} | {unit} | {} |", columns(pair, 1, goal)));
    }
}

/// coturn, ours, ours / coturn, goal.
fn columns(pair: Pair, digits: usize, goal: Goal) -> String {
    let coturn = pair.coturn.map_or("-".to_owned(), |coturn| format!("{coturn:.digits$}"));
    let share = pair.coturn.map_or("-".to_owned(), |coturn| format!("{:.2}", pair.ours / coturn));
    let goal = match goal {
        Goal::Share(share) => format!("at most {share} of coturn's"),
        Goal::AtMost(most) => format!("at most {most}"),
        Goal::None => String::new(),
    };
    format!("{coturn} | {:.digits$} | {share} | {goal}", pair.ours)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.packets.is_empty() {
            writeln!(f, "| load | coturn | ours | ours / coturn | goal | bare loop | bare loop, naps |")?;
            writeln!(f, "|---|---:|---:|---:|---|---:|---:|")?;
            self.packets.iter().try_for_each(|row| writeln!(f, "{row}"))?;
            writeln!(f, "\nCPU in microseconds for each relayed packet, of the server's process alone.\n")?;
        }
        if !self.others.is_empty() {
            writeln!(f, "| what | unit | coturn | ours | ours / coturn | goal |")?;
            writeln!(f, "|---|---|---:|---:|---:|---|")?;
            self.others.iter().try_for_each(|row| writeln!(f, "{row}"))?;
        }
        Ok(())
    }
}
