"""The custom resources (TradingBot, Exchange, ...) as typed, validated models, and the loader of their YAML files.

The CRDs are generated from here. Bot processes never import this package: they get settings.
"""
