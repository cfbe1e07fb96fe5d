"""Networks that others trained and publish inside packages: fetched by pin, made into bundles, sampled, reported on."""
