"""The kinds of detectors; each implements the Detector seam."""
