"""Who may see what, until when: public links, what they show, and what they must not."""
