def climate_card() -> str:
    return "# climate-6h\n"
