//! What processes of one centre hold together through NATS: leases, calls, shared state.
