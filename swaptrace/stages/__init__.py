"""What happens to page content on its way down, one stage per file. Same skeleton in each: a diff shows the idea."""
