//! Collects what is wrong with a configuration, so that an operator is told everything at once.

use crate::bindings::sigwarden::policy::types::Problem;
use crate::policy::problem;

/// What is wrong so far.
#[derive(Debug, Default)]
pub struct Problems {
    /// Where the fields are that [`Problems::when`] names: `rules[2]`, or nothing.
    at: String,
    problems: Vec<Problem>,
}

impl Problems {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// From here on, fields are those of this table: `rules[2]`.
    pub fn at(&mut self, table: impl Into<String>) {
        self.at = table.into();
    }

    /// If something is wrong: the field, and what was wrong and what would be right.
    pub fn when(&mut self, wrong: bool, field: impl AsRef<str>, message: impl Into<String>) {
        if wrong {
            let (table, field) = (&self.at, field.as_ref());
            let dot = if table.is_empty() || field.is_empty() { "" } else { "." };
            self.problems.push(problem(format!("{table}{dot}{field}"), message));
        }
    }

    /// What `Policy::check` returns.
    ///
    /// # Errors
    /// What is wrong.
    pub fn done(self) -> Result<(), Vec<Problem>> {
        if self.problems.is_empty() { Ok(()) } else { Err(self.problems) }
    }
}

#[cfg(test)]
mod tests {
    use super::Problems;

    #[test]
    fn each_problem_has_its_path() {
        let mut problems = Problems::new();
        problems.when(false, "none", "");
        problems.when(true, "rules", "a");
        problems.at("rules[1]");
        problems.when(true, "name", "b");
        problems.when(true, "", "c");
        let paths: Vec<String> = problems.done().unwrap_err().into_iter().map(|problem| problem.path).collect();
        assert_eq!(paths, ["rules", "rules[1].name", "rules[1]"]);
        assert_eq!(Problems::new().done(), Ok(()));
    }
}
