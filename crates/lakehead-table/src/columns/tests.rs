use iceberg::spec::NestedField;

use super::*;

fn schema(fields: Vec<Field>) -> ArrowSchema {
    ArrowSchema::new(fields)
}

fn text(result: Result<impl std::fmt::Debug, CatalogError>) -> String {
    result.unwrap_err().text
}

#[test]
fn every_type_of_a_query_has_the_form_that_is_documented() {
    let item = |data_type| Arc::new(Field::new("item", data_type, true));
    let cases = [
        (DataType::Boolean, "boolean"),
        (DataType::Int8, "int"),
        (DataType::Int32, "int"),
        (DataType::UInt16, "int"),
        (DataType::Int64, "long"),
        (DataType::UInt32, "long"),
        (DataType::UInt64, "decimal(20,0)"),
        (DataType::Float32, "float"),
        (DataType::Float64, "double"),
        (DataType::Decimal128(7, 2), "decimal(7,2)"),
        (DataType::Utf8, "string"),
        (DataType::Utf8View, "string"),
        (DataType::Binary, "binary"),
        (DataType::FixedSizeBinary(3), "binary"),
        (DataType::Date32, "date"),
        (DataType::Time32(TimeUnit::Second), "time"),
        (DataType::Timestamp(TimeUnit::Second, None), "timestamptz"),
        (DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())), "timestamptz"),
        (DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)), "string"),
        (DataType::List(item(DataType::UInt64)), "list"),
    ];
    for (arrow, iceberg) in cases {
        let made = table_columns(&schema(vec![Field::new("c", arrow.clone(), true)])).unwrap();
        let made = schema_of(&made).unwrap();
        let fields = made.as_struct().fields();
        assert_eq!(fields[0].field_type.to_string().replace(' ', ""), iceberg, "{arrow}");
        if let Type::List(list) = fields[0].field_type.as_ref() {
            assert_eq!(list.element_field.field_type.to_string().replace(' ', ""), "decimal(20,0)");
        }
        assert!(!fields[0].required);
        assert_eq!((fields[1].name.as_str(), fields[1].required), (INGEST_TIME, true));
        assert_eq!(fields[1].field_type.to_string(), "timestamptz");
    }
}

#[test]
fn what_a_table_cannot_hold_is_refused_by_name() {
    let inner = Field::new("span", DataType::Duration(TimeUnit::Second), true);
    let cases = [
        Field::new("span", DataType::Duration(TimeUnit::Second), true),
        Field::new("span", DataType::Struct(vec![inner].into()), true),
        Field::new("span", DataType::Decimal128(5, -2), true),
        Field::new("span", DataType::Null, true),
    ];
    for field in cases {
        let refused = check(&schema(vec![Field::new("a", DataType::Int32, true), field])).unwrap_err();
        assert_eq!(refused.field, "span");
        assert!(refused.reason.contains("which a table cannot hold"), "{refused}");
    }
    let twice = check(&schema(vec![Field::new("__INGEST_ts", DataType::Int64, true)])).unwrap_err();
    assert!(twice.reason.contains("leave it out"), "{twice}");
}

fn nested() -> ArrowSchema {
    let inner = vec![Field::new("a", DataType::Int32, true), Field::new("b", DataType::Utf8, false)];
    table_columns(&schema(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("s", DataType::Struct(inner.clone().into()), true),
        Field::new(
            "l",
            DataType::List(Arc::new(Field::new("item", DataType::Struct(inner.into()), true))),
            true,
        ),
    ]))
    .unwrap()
}

#[test]
fn files_get_the_ids_of_the_tables_fields_at_every_depth() {
    let table = schema_of(&nested()).unwrap();
    let fitted = fit(&table, &nested()).unwrap();
    let mut ids = Vec::new();
    fn collect(field: &Field, ids: &mut Vec<(String, i32)>) {
        ids.push((field.name().clone(), field_id(field).unwrap()));
        match field.data_type() {
            DataType::Struct(fields) => fields.iter().for_each(|f| collect(f, ids)),
            DataType::List(item) => collect(item, ids),
            _ => {}
        }
    }
    fitted.fields().iter().for_each(|f| collect(f, &mut ids));
    for (name, id) in &ids {
        assert_eq!(table.field_by_id(*id).unwrap().name, *name);
    }
    assert_eq!(ids.len(), 9);
    assert_eq!(drift(&table, &fitted), None);
}

#[test]
fn a_table_that_does_not_fit_is_refused_with_the_column() {
    let table = schema_of(&nested()).unwrap();
    let with =
        |field: Field| table_columns(&schema(vec![Field::new("id", DataType::Int64, false), field])).unwrap();
    let missing = fit(&table, &with(Field::new("new", DataType::Int32, true)));
    assert_eq!(text(missing), "the table has no column \"new\"");
    let nullable = table_columns(&schema(vec![Field::new("id", DataType::Int64, true)])).unwrap();
    assert_eq!(
        text(fit(&table, &nullable)),
        "column \"id\" may be NULL in the query, and the table requires it"
    );
    let lacking = table_columns(&schema(vec![])).unwrap();
    assert_eq!(
        text(fit(&table, &lacking)),
        "the table requires column \"id\", which the query does not make"
    );
    let other = with(Field::new("s", DataType::Utf8, true));
    assert!(text(fit(&table, &other)).starts_with("column \"s\" is Utf8 in the query and Struct"));
    let inner = vec![Field::new("b", DataType::Int64, false)];
    let deep = with(Field::new("s", DataType::Struct(inner.into()), true));
    assert!(text(fit(&table, &deep)).starts_with("column \"s.b\" is Int64 in the query"));
    let inner = vec![Field::new("a", DataType::Int32, true)];
    let shallow = with(Field::new("s", DataType::Struct(inner.into()), true));
    assert_eq!(
        text(fit(&table, &shallow)),
        "the table requires column \"s.b\", which the query does not make"
    );
}

#[test]
fn a_wider_column_of_the_table_takes_a_narrower_one() {
    let wide =
        schema_of(&table_columns(&schema(vec![Field::new("n", DataType::Int64, true)])).unwrap()).unwrap();
    let narrow = table_columns(&schema(vec![Field::new("n", DataType::Int32, true)])).unwrap();
    assert_eq!(fit(&wide, &narrow).unwrap().field(0).data_type(), &DataType::Int64);
    let narrow_table = schema_of(&narrow).unwrap();
    let wide = table_columns(&schema(vec![Field::new("n", DataType::Int64, true)])).unwrap();
    assert!(fit(&narrow_table, &wide).is_err());
}

#[test]
fn drift_names_what_has_become_of_a_column_that_was_written() {
    let columns = table_columns(&schema(vec![
        Field::new("id", DataType::Int32, true),
        Field::new("name", DataType::Utf8, true),
    ]))
    .unwrap();
    let table = schema_of(&columns).unwrap();
    let written = fit(&table, &columns).unwrap();
    let time = |id| NestedField::required(id, INGEST_TIME, Type::Primitive(PrimitiveType::Timestamptz));
    let with = |fields: Vec<NestedField>| {
        Schema::builder().with_fields(fields.into_iter().map(Arc::new)).build().unwrap()
    };
    let optional = |id, name: &str, p| NestedField::optional(id, name, Type::Primitive(p));
    let id = || optional(1, "id", PrimitiveType::Int);
    let name = || optional(2, "name", PrimitiveType::String);
    let fine = [
        with(vec![id(), name(), time(3)]),
        with(vec![optional(1, "id", PrimitiveType::Long), name(), time(3)]),
        with(vec![time(3), id(), name(), optional(4, "more", PrimitiveType::Date)]),
    ];
    for schema in fine {
        assert_eq!(drift(&schema, &written), None);
    }
    let wrong = [
        (with(vec![id(), time(3)]), "\"name\" was dropped"),
        (with(vec![id(), optional(9, "name", PrimitiveType::String), time(3)]), "\"name\" was dropped"),
        (with(vec![optional(1, "renamed", PrimitiveType::Int), name(), time(3)]), "named \"renamed\""),
        (with(vec![optional(1, "id", PrimitiveType::String), name(), time(3)]), "\"id\" is string"),
        (
            with(vec![NestedField::required(1, "id", Type::Primitive(PrimitiveType::Int)), name(), time(3)]),
            "required",
        ),
        (
            with(vec![
                id(),
                name(),
                time(3),
                NestedField::required(4, "must", Type::Primitive(PrimitiveType::Int)),
            ]),
            "now requires column \"must\"",
        ),
    ];
    for (schema, text) in wrong {
        let found = drift(&schema, &written).unwrap();
        assert!(found.contains(text), "{found}");
    }
}
