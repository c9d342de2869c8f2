"""What programs that nobody here wrote say of the shipped mails."""
