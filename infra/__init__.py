"""What deploys accesslake: the template, what makes its generated parts, and its packages."""
