//! The day a template is told.

use serde::{Deserialize, Serialize};

/// A day of the Gregorian calendar. It is an input like any other: the engine has no clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Date {
    /// From 1 to 9999.
    pub year: u16,
    /// From 1 to 12.
    pub month: u8,
    /// From 1 to 31.
    pub day: u8,
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

impl Date {
    /// Whether there is such a day.
    pub fn is_valid(self) -> bool {
        let leap =
            self.year.is_multiple_of(4) && (!self.year.is_multiple_of(100) || self.year.is_multiple_of(400));
        let days = match self.month {
            2 => 28 + u8::from(leap),
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        (1..=9999).contains(&self.year) && (1..=12).contains(&self.month) && (1..=days).contains(&self.day)
    }

    /// `strftime` of this day at midnight; `None` for a directive that is not known. The date is valid.
    pub(super) fn format(self, pattern: &str) -> Option<String> {
        let month = MONTHS[usize::from(self.month) - 1];
        let weekday = DAYS[self.weekday()];
        let mut text = String::new();
        let mut chars = pattern.chars();
        while let Some(char) = chars.next() {
            if char != '%' {
                text.push(char);
                continue;
            }
            text.push_str(&match chars.next()? {
                '%' => "%".to_owned(),
                'Y' => format!("{:04}", self.year),
                'y' => format!("{:02}", self.year % 100),
                'm' => format!("{:02}", self.month),
                'd' => format!("{:02}", self.day),
                'B' => month.to_owned(),
                'b' => month[..3].to_owned(),
                'A' => weekday.to_owned(),
                'a' => weekday[..3].to_owned(),
                'H' | 'M' | 'S' => "00".to_owned(),
                'F' => format!("{:04}-{:02}-{:02}", self.year, self.month, self.day),
                _ => return None,
            });
        }
        Some(text)
    }

    /// Days since Sunday (Sakamoto).
    fn weekday(self) -> usize {
        const OFFSETS: [usize; 12] = [0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4];
        let month = usize::from(self.month);
        let year = usize::from(self.year) - usize::from(month < 3);
        (year + year / 4 + year / 400 - year / 100 + OFFSETS[month - 1] + usize::from(self.day)) % 7
    }
}
