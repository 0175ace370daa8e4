"""What several experiments share: trained runs, figures, plots and the results page."""
