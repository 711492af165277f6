"""Plans: the steps of a query as data, their JSON, and their drawing."""
