"""Production: the road cut into hops, Faust agents on Kafka. The only package that imports Faust."""
