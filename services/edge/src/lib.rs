//! A centre in a commune: forwards what it holds to the province.
