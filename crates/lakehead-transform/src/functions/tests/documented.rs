//! Every documented function, with an example or an edge of its documentation.

use super::check;

#[test]
fn math() {
    check(&[("abs(i)", "7"), ("signum(0)", "1.0"), ("factorial(5)", "120")]);
}
