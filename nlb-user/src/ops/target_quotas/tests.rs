//! How many targets a load balancer may have.
