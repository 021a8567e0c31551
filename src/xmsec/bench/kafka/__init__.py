"""The road on Kafka and Elasticsearch, measured: speed, time to a finding, recovery, restarts, memory."""
