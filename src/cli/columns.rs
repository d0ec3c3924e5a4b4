//! Rows in columns that stand below each other.

/// Wider cells push their row's rest to the right instead of everybody's.
const WIDEST: usize = 50;

/// Each row as a line: every column but the last as wide as its widest cell.
pub(super) fn align<const N: usize>(rows: &[[String; N]]) -> Vec<String> {
    let width = |column: usize| {
        let widths = rows.iter().map(|row| row[column].chars().count());
        widths.filter(|width| *width <= WIDEST).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    let line = |row: &[String; N]| {
        let padded = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}", width = *width));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::align;

    #[test]
    fn cells_stand_below_each_other_and_a_wide_one_moves_its_own_row_only() {
        let wide = "w".repeat(60);
        let rows = [["a", "1", "x"], ["bcd", &wide, "y"], ["ö", "", "z"]].map(|row| row.map(str::to_owned));
        assert_eq!(align(&rows), ["a    1  x", &format!("bcd  {wide}  y"), "ö       z"]);
    }
}
