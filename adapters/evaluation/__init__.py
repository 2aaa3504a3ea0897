"""What an adapter does to the base model's answers: cases, verdicts, and shares with their bounds."""
