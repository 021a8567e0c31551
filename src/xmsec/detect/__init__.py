"""What is unusual or forbidden: rules, correlations, contracts, trained models and silence, each a Detector."""
